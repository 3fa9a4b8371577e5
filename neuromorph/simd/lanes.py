"""SIMD lanes for numba: 32 samples side by side as one LLVM vector, strict IEEE unless an operation says otherwise.

A tile of 32 samples is simulated at once; LLVM lowers the vectors to whatever the CPU has, so that nothing depends on its
autovectoriser. Spikes of one neuron and step are one 32-bit mask, one bit a sample. Arrays that hold lanes are C-contiguous
with 32 values (or a multiple) in the last axis and start at a multiple of 64 bytes, see `buffers`.
"""

import inspect
import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import njit, types
from numba.core.cgutils import get_or_insert_function
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

LANES, ALIGNMENT = 32, 64
BLOCK = 16 if get_host_cpu_features().get("avx512f") else 8
"""Rows and columns of a transposition that fit the registers of this CPU."""

_I32, _I64 = ir.IntType(32), ir.IntType(64)


_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "cache": True, "_nrt": False}
"""Without numba's reference counts: kernels only work in arrays that their caller holds."""
INLINED: Any = {**_OPTIONS, "forceinline": True}


def compiled(function: Callable[..., Any]) -> Any:
    """numba's version of a function, without the type checks that tests wrap it in; kept on disk, frees the interpreter lock."""
    return njit(**_OPTIONS)(inspect.unwrap(function))


def inlined(function: Callable[..., Any]) -> Any:
    """As `compiled`, always inlined into its callers: for what runs once a neuron and step."""
    return njit(**INLINED)(inspect.unwrap(function))


def operation(function: Callable[..., Any]) -> Any:
    """An operation that writes its own LLVM code."""
    return intrinsic(inspect.unwrap(function))


class Vector(types.Type):
    """numba's type of `width` numbers side by side."""

    def __init__(self, dtype: Any, width: int) -> None:
        self.dtype, self.width = dtype, width
        super().__init__(f"Vector({dtype}, {width})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Vector) -> None:
        super().__init__(manager, kind, ir.VectorType(manager.lookup(kind.dtype).get_value_type(), kind.width))


def _splat(b: Any, scalar: Any, width: int) -> Any:
    v = b.insert_element(ir.Constant(ir.VectorType(scalar.type, width), ir.Undefined), scalar, _I32(0))
    return b.shuffle_vector(v, ir.Constant(v.type, ir.Undefined), ir.Constant(ir.VectorType(_I32, width), [_I32(0)] * width))


def _arithmetic(op: Any, name: str | None, whole: str | None) -> None:
    """Teach numba an operator on lanes by LLVM's instructions for floats and for integers; numbers are spread over the lanes."""

    @infer_global(op)  # pyright: ignore[reportOptionalCall]
    class _Template(AbstractTemplate):
        def generic(self, args, kws):
            vectors = [a for a in args if isinstance(a, Vector)]
            if vectors and all(a == vectors[0] or _fits(a, vectors[0].dtype) for a in args):
                return signature(vectors[0], *args)
            return None

    def lower(context, b, sig, args):
        kind = sig.return_type
        values = [x if isinstance(t, Vector) else _splat(b, context.cast(b, x, t, kind.dtype), kind.width) for x, t in zip(args, sig.args)]
        return getattr(b, str(whole if isinstance(kind.dtype, types.Integer) else name))(*values)

    for kinds in ((Vector, Vector), (Vector, types.Number), (types.Number, Vector)):
        lower_builtin(op, *kinds)(lower)


def _fits(kind: Any, dtype: Any) -> bool:
    return kind == dtype or (isinstance(kind, types.Integer) and isinstance(dtype, types.Integer))


for _op, _name, _whole in (
    (operator.add, "fadd", "add"),
    (operator.sub, "fsub", "sub"),
    (operator.mul, "fmul", "mul"),
    (operator.truediv, "fdiv", None),
    (operator.lshift, None, "shl"),
    (operator.rshift, None, "ashr"),
    (operator.and_, None, "and_"),
    (operator.or_, None, "or_"),
    (operator.xor, None, "xor"),
):
    _arithmetic(_op, _name, _whole)


def _element(context, b, kind, array, index):
    return b.gep(context.make_array(kind)(context, b, array).data, [index])


def _load(width: int, unit: int) -> Any:
    def load(typing, array, i):
        def code(context, b, sig, args):
            kind = context.get_value_type(sig.return_type)
            p = _element(context, b, sig.args[0], args[0], b.mul(args[1], _I64(unit)))
            value = b.load(b.bitcast(p, kind.as_pointer()))
            value.align = min(64, unit * array.dtype.bitwidth // 8)
            return value

        return Vector(array.dtype, width)(array, types.int64), code

    return operation(load)


def _store(unit: int) -> Any:
    def store(typing, array, i, v):
        def code(context, b, sig, args):
            p = _element(context, b, sig.args[0], args[0], b.mul(args[1], _I64(unit)))
            b.store(args[2], b.bitcast(p, args[2].type.as_pointer()), align=min(64, unit * array.dtype.bitwidth // 8))
            return context.get_dummy_value()

        return types.void(array, types.int64, v), code

    return operation(store)


load, store = _load(LANES, LANES), _store(LANES)
"""`load(array, i)`: the lanes of row i of an array (..., 32); `store(array, i, v)` puts them back."""
load_half, store_half = _load(LANES // 2, LANES // 2), _store(LANES // 2)
load_2, load_4 = _load(2 * LANES, LANES), _load(4 * LANES, LANES)
"""2 or 4 rows at once, from row i on; `store` puts them back."""
load_any, store_any = _load(LANES // 2, 1), _store(1)
"""16 numbers of a flat array from number i on, wherever that is."""


@operation
def at(typing, array, i):
    """Element i of the flat array, without a check."""

    def code(context, b, sig, args):
        return b.load(_element(context, b, sig.args[0], args[0], args[1]))

    return array.dtype(array, types.int64), code


@operation
def put(typing, array, i, x):
    """Write x to element i of the flat array, without a check."""

    def code(context, b, sig, args):
        b.store(args[2], _element(context, b, sig.args[0], args[0], args[1]))
        return context.get_dummy_value()

    return types.void(array, types.int64, array.dtype), code


@operation
def add_at(typing, array, i, x):
    """Add x to element i of the flat array, without a check."""

    def code(context, b, sig, args):
        p = _element(context, b, sig.args[0], args[0], args[1])
        add = b.add if isinstance(array.dtype, types.Integer) else b.fadd
        b.store(add(b.load(p), args[2]), p)
        return context.get_dummy_value()

    return types.void(array, types.int64, array.dtype), code


def _lanes(b: Any, mask: Any, width: int) -> Any:
    mask = b.trunc(mask, ir.IntType(width)) if mask.type.width > width else mask
    return b.bitcast(mask, ir.VectorType(ir.IntType(1), width))


def _compare(b: Any, kind: Vector, sign: str, x: Any, y: Any) -> Any:
    return b.icmp_signed(sign, x, y) if isinstance(kind.dtype, types.Integer) else b.fcmp_ordered(sign, x, y)


@operation
def greater(typing, x, y):
    """Mask of the lanes where x > y."""
    mask = types.Integer.from_bitwidth(x.width, False)

    def code(context, b, sig, args):
        return b.bitcast(_compare(b, x, ">", *args), ir.IntType(x.width))

    return mask(x, y), code


@operation
def differ(typing, x, y):
    """Mask of the lanes where x != y."""
    mask = types.Integer.from_bitwidth(x.width, False)

    def code(context, b, sig, args):
        return b.bitcast(_compare(b, x, "!=", *args), ir.IntType(x.width))

    return mask(x, y), code


@operation
def where(typing, mask, x, y):
    """x in the lanes of the mask, else y."""

    def code(context, b, sig, args):
        return b.select(_lanes(b, args[0], x.width), args[1], args[2])

    return x(mask, x, x), code


@operation
def keep(typing, mask, x):
    """x in the lanes of the mask, else 0."""

    def code(context, b, sig, args):
        return b.select(_lanes(b, args[0], x.width), args[1], ir.Constant(args[1].type, None))

    return x(mask, x), code


@operation
def positive(typing, x):
    """max(x, 0)"""

    def code(context, b, sig, args):
        zero = ir.Constant(args[0].type, None)
        return b.select(b.fcmp_ordered(">", args[0], zero), args[0], zero)

    return x(x), code


@operation
def smaller(typing, x, y):
    """min(x, y)"""

    def code(context, b, sig, args):
        return b.select(_compare(b, x, "<", *args), *args)

    return x(x, y), code


@operation
def larger(typing, x, y):
    """max(x, y)"""

    def code(context, b, sig, args):
        return b.select(_compare(b, x, ">", *args), *args)

    return x(x, y), code


@operation
def low_product(typing, x, y):
    """The product of the lower halves of the lanes, unsigned numbers of 16 bits, / 2^16, rounded down; the upper half of y is 0."""

    def code(context, b, sig, args):
        kind, halves = args[0].type, 2 * x.width
        narrow, wide = ir.VectorType(ir.IntType(16), halves), ir.VectorType(_I32, halves)
        product = b.mul(*(b.zext(b.bitcast(a, narrow), wide) for a in args))
        return b.bitcast(b.trunc(b.lshr(product, ir.Constant(wide, [16] * halves)), narrow), kind)

    return x(x, y), code


@operation
def exponential(typing, x):
    """exp(x), by the mathematical library of the platform."""

    def code(context, b, sig, args):
        kind = args[0].type
        name = f"llvm.exp.v{x.width}{kind.element.intrinsic_name}"
        return b.call(get_or_insert_function(b.module, ir.FunctionType(kind, [kind]), name), [args[0]])

    return x(x), code


@operation
def multiply_add(typing, x, y, z):
    """x y + z, where the rounding in between may be left out (sums of the backward pass only); x is a number or lanes."""

    def code(context, b, sig, args):
        x_ = args[0] if isinstance(sig.args[0], Vector) else _splat(b, args[0], z.width)
        return b.fadd(args[2], b.fmul(x_, args[1], flags=("contract",)), flags=("contract",))

    return z(x, y, z), code


@operation
def zeros(typing, x):
    """Lanes of zeros like x."""

    def code(context, b, sig, args):
        return ir.Constant(args[0].type, None)

    return x(x), code


@operation
def splat(typing, x, like):
    """The number x in every lane."""

    def code(context, b, sig, args):
        return _splat(b, context.cast(b, args[0], x, like.dtype), like.width)

    return like(x, like), code


@operation
def widen(typing, x, array):
    """Lanes of whole numbers in the type of the array, which may be wider."""
    kind = Vector(array.dtype, x.width)

    def code(context, b, sig, args):
        return args[0] if kind == x else b.sext(args[0], context.get_value_type(kind))

    return kind(x, array), code


@operation
def total(typing, x):
    """Sum over the lanes, in a fixed order (halves folded)."""

    def code(context, b, sig, args):
        v, width = args[0], x.width
        while width > 1:
            width //= 2
            undefined = ir.Constant(v.type, ir.Undefined)
            low, high = (
                b.shuffle_vector(v, undefined, ir.Constant(ir.VectorType(_I32, width), [_I32(k + first) for k in range(width)]))
                for first in (0, width)
            )
            v = b.fadd(low, high)
        return b.extract_element(v, _I32(0))

    return x.dtype(x), code


@operation
def lowest(typing, mask):
    """Index of the lowest set bit."""

    def code(context, b, sig, args):
        index = b.cttz(args[0], ir.Constant(ir.IntType(1), 1))
        return b.zext(index, _I64) if index.type.width < 64 else index

    return types.int64(mask), code


@operation
def ones(typing, mask):
    """Number of set bits."""

    def code(context, b, sig, args):
        count = b.ctpop(args[0])
        return b.zext(count, _I64) if count.type.width < 64 else count

    return types.int64(mask), code


@operation
def ones_each(typing, x):
    """Number of set bits in each lane."""

    def code(context, b, sig, args):
        kind = args[0].type
        name = f"llvm.ctpop.v{x.width}{kind.element.intrinsic_name}"
        return b.call(get_or_insert_function(b.module, ir.FunctionType(kind, [kind]), name), [args[0]])

    return x(x), code


@operation
def turn_block(typing, source, i, source_stride, target, j, target_stride):
    """target[j + c target_stride + r] = source[i + r source_stride + c] for r, c < BLOCK, in registers (butterfly of shuffles)."""

    def code(context, b, sig, args):
        kind = ir.VectorType(context.get_value_type(source.dtype), BLOCK)
        p, q = (_element(context, b, sig.args[k], args[k], args[k + 1]) for k in (0, 3))
        rows = []
        for r in range(BLOCK):
            row = b.load(b.bitcast(b.gep(p, [b.mul(args[2], _I64(r))]), kind.as_pointer()))
            row.align = source.dtype.bitwidth // 8
            rows.append(row)
        s = 1
        while s < BLOCK:
            low = [k if not k & s else BLOCK + (k ^ s) for k in range(BLOCK)]
            high = [k | s if not k & s else BLOCK + k for k in range(BLOCK)]
            for r in (r for r in range(BLOCK) if not r & s):
                pair = rows[r], rows[r | s]
                for place, order in ((r, low), (r | s, high)):
                    rows[place] = b.shuffle_vector(*pair, ir.Constant(ir.VectorType(_I32, BLOCK), [_I32(k) for k in order]))
            s *= 2
        for r in range(BLOCK):
            b.store(rows[r], b.bitcast(b.gep(q, [b.mul(args[5], _I64(r))]), kind.as_pointer()), align=source.dtype.bitwidth // 8)
        return context.get_dummy_value()

    i8 = types.int64
    return types.void(source, i8, i8, target, i8, i8), code


@compiled
def turn(source, i, source_stride, n, m, target, j, target_stride):
    """Transpose the n x m numbers at source[i:], rows `source_stride` apart, to target[j:]; n, m multiples of BLOCK."""
    for r in range(0, n, BLOCK):
        for c in range(0, m, BLOCK):
            turn_block(source, i + r * source_stride + c, source_stride, target, j + c * target_stride + r, target_stride)
