"""The bundled loops."""
