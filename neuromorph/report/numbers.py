"""Numbers as people read them; the exact value stays in the page, in the `value` of a <data> element."""

import math
from typing import Any

from markupsafe import Markup

PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p"), (1e-15, "f"))
THIN = "\u202f"  # narrow no-break space between number and unit
NONE = "–"
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def si(value: int | float, unit: str) -> str:
    """Three digits and an SI prefix: 1.2345e-6 J is "1.23 µJ"."""
    if value == 0:
        return f"0{THIN}{unit}"
    value = float(f"{value:.3g}")
    factor, prefix = next(((f, p) for f, p in PREFIXES if abs(value) >= f), PREFIXES[-1])
    return f"{_three(value / factor)}{THIN}{prefix}{unit}"


def percent(value: int | float) -> str:
    """A share as percentage: one digit after the point, below 1 % two digits."""
    shown = 100 * value
    return f"{_scientific(shown, 2) if 0 < abs(shown) < 1 else f'{shown:.1f}'}{THIN}%"


def number(value: int | float) -> str:
    """Whole numbers in full with thousands marks; others with four digits or one after the point."""
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    if 1e-3 <= abs(value) < 100:
        return f"{value:.4g}"
    return f"{value:,.1f}" if 100 <= abs(value) < 1e9 else _scientific(value, 3)


def _scientific(value: int | float, digits: int) -> str:
    """That many digits; far from 1 as 1.2 × 10⁻⁹."""
    mantissa, _, exponent = f"{value:.{digits}g}".partition("e")
    return f"{mantissa}{THIN}×{THIN}10{str(int(exponent)).translate(SUPERSCRIPTS)}" if exponent else mantissa


def _three(value: int | float) -> str:
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def data(value: Any, style: str = "number") -> Any:
    """A <data> element for a number, shown as `number`, `percent` or in a unit ("J", "s", "Hz"); a dash for nothing;
    yes or no; text as it is.
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float) and math.isfinite(value):
        shown = {"number": number, "percent": percent}.get(style, lambda x: si(x, style))(value)
        return Markup('<data value="{}">{}</data>').format(repr(value), shown)
    return str(value) if value is not None and str(value) else NONE


def span(interval: Any, style: str = "J") -> Any:
    """lo to hi of {"lo", "nominal", "hi"}, a dash for nothing."""
    if not interval:
        return NONE
    return Markup("{} to {}").format(data(interval["lo"], style), data(interval["hi"], style))
