"""Cloud computers of MIOSA (miosa.ai), over its HTTP API, with nothing of the vendor's to install."""
