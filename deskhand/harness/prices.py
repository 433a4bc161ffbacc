"""What a turn costs, from the genai-prices table that is installed; an unknown price is ``None``, never zero."""

from __future__ import annotations

from deskhand.harness.events import Usage

__all__ = ["price_of"]


def price_of(model: str, usage: Usage) -> float | None:
    """Return the price in US dollars, or ``None`` where the table does not know the model."""
    from genai_prices import Usage as Tokens
    from genai_prices import calc_price

    tokens = Tokens(
        input_tokens=usage.input + usage.cache_read + usage.cache_write,  # the table counts cached input within input
        output_tokens=usage.output,
        cache_read_tokens=usage.cache_read,
        cache_write_tokens=usage.cache_write,
    )
    try:
        return float(calc_price(tokens, model_ref=model).total_price)
    except LookupError:
        return None
