"""Array shapes in signatures. jaxtyping checks them in the tests; elsewhere they cost nothing and need nothing."""

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or "jaxtyping" in sys.modules:
    from jaxtyping import Bool, Float32, Float64, Int8, Int32, Int64, Num, UInt8
else:

    class _Shaped:
        """`Float64[np.ndarray, " n"]` means `np.ndarray`."""

        def __class_getitem__(cls, item: tuple[Any, str]) -> Any:
            return item[0]

    Bool = Float32 = Float64 = Int8 = Int32 = Int64 = Num = UInt8 = _Shaped

__all__ = ["Bool", "Float32", "Float64", "Int8", "Int32", "Int64", "Num", "UInt8"]
