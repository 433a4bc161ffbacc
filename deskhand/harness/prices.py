"""What a turn costs, from the genai-prices table that is installed; an unknown price is ``None``, never zero."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from deskhand.harness.events import Usage

__all__ = ["Price", "price_of"]

_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """A model's price in US dollars for a million tokens.

    Attributes:
        input: Input that was not cached.
        output: Output, thinking included.
        cache_read: Input read from the cache; that of input where not given.
        cache_write: Input written to the cache; that of input where not given.
    """

    input: float
    output: float
    cache_read: float | None = None
    cache_write: float | None = None

    def of(self, usage: Usage) -> float:
        """Return what a use costs."""
        read = self.input if self.cache_read is None else self.cache_read
        write = self.input if self.cache_write is None else self.cache_write
        total = usage.input * self.input + usage.output * self.output + usage.cache_read * read
        return (total + usage.cache_write * write) / _MILLION


def price_of(model: str, usage: Usage, own: Mapping[str, Price] | None = None) -> float | None:
    """Return the price in US dollars, or ``None`` where neither ``own`` nor the table knows the model."""
    if own and model in own:
        return own[model].of(usage)
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
