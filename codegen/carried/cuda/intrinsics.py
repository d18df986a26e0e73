"""What the language of kernels has no words for: wide loads and stores, copies past the registers, tensor cores, order.

Pointers are raw (``CPointer``) or one-dimensional arrays, shared or local; places count elements. This is the only file
of the folder that knows LLVM: another compiler of the same language needs this one written anew, and no other.
"""

from llvmlite import ir
from numba import cuda
from numba.cuda import types
from numba.cuda.extending import intrinsic
from numba.cuda.np import arrayobj

BYTE, WORD, LONG, FLOAT = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.FloatType()

# A function of kernels. Always inlined: so LLVM sees that an array it is handed lies in shared memory, or in registers.
device = cuda.jit(device=True, forceinline=True)


def _address(context, builder, kind, base, place):
    if isinstance(kind, types.Array):
        base = arrayobj.make_array(kind)(context, builder, base).data
    return builder.gep(base, [place])


def _vector_address(context, builder, kind, base, place, count):
    pointer = _address(context, builder, kind, base, place)
    vector = ir.VectorType(pointer.type.pointee, count)
    return builder.bitcast(pointer, vector.as_pointer()), vector, pointer.type.pointee


def _load(base, place, count):
    def generate(context, builder, signature, arguments):
        pointer, _, number = _vector_address(context, builder, base, *arguments, count)
        # 16 bytes are the most that one instruction moves, and the alignment that it needs.
        value = builder.load(pointer, align=16 if count == 4 else count * _bytes(number))
        parts = [builder.extract_element(value, WORD(lane)) for lane in range(count)]
        return context.make_tuple(builder, signature.return_type, parts)

    return types.UniTuple(base.dtype, count)(base, place), generate


def _bytes(number):
    return 4 if isinstance(number, ir.FloatType) or number == WORD else 8


@intrinsic
def ld2(typing, base, place):
    """Two neighbours in one load; they lie at a multiple of two."""
    return _load(base, place, 2)


@intrinsic
def ld4(typing, base, place):
    """Four neighbours in one load of 16 bytes, aligned to 16 (of float64: two such loads)."""
    return _load(base, place, 4)


@intrinsic
def st4(typing, base, place, a, b, c, d):
    """Four neighbours in one store, aligned to 16 bytes."""

    def generate(context, builder, signature, arguments):
        pointer, vector, _ = _vector_address(context, builder, base, *arguments[:2], 4)
        value = ir.Constant(vector, ir.Undefined)
        for lane, part in enumerate(arguments[2:]):
            value = builder.insert_element(value, part, WORD(lane))
        builder.store(value, pointer, align=16)
        return context.get_dummy_value()

    return types.void(base, place, base.dtype, base.dtype, base.dtype, base.dtype), generate


@intrinsic
def anew(typing, number):
    """The same whole number, of which a compiler does not know that: what is made of it is computed again.

    In a kernel of many parts the compiler would else compute what they share once, and run out of registers.
    """

    def generate(context, builder, signature, arguments):
        kind = arguments[0].type
        code, letter = ("mov.b64 $0, $1;", "l") if kind.width == 64 else ("mov.b32 $0, $1;", "r")
        made = ir.FunctionType(kind, [kind])
        return builder.call(ir.InlineAsm(made, code, f"={letter},{letter}", side_effect=True), arguments)

    return number(number), generate


@intrinsic
def shifted(typing, base, places):
    """The pointer to the element `places` further on."""

    def generate(context, builder, signature, arguments):
        return builder.gep(*arguments[:1], [arguments[1]])

    return base(base, places), generate


def _dividing(operation):
    def divide(typing, number, by):
        def generate(context, builder, signature, arguments):
            def narrow(value):
                return value if value.type == WORD else builder.trunc(value, WORD)

            found = getattr(builder, operation)(*map(narrow, arguments))
            return builder.zext(found, LONG)

        return types.int64(number, by), generate

    return divide


# quotient(number, by) and remainder(number, by) of whole numbers from 0 to 2³¹ - 1, in 32 bits: a division of 64 bits
# takes a hundred instructions.
quotient = intrinsic(_dividing("udiv"))
remainder = intrinsic(_dividing("urem"))


@intrinsic
def pointer_to(typing, array):
    """The pointer to an array's first element: an index into it does not count from the end when it is negative."""

    def generate(context, builder, signature, arguments):
        return arrayobj.make_array(array)(context, builder, arguments[0]).data

    return types.CPointer(array.dtype)(array), generate


@intrinsic
def along(typing, stride, index):
    """How many elements from its base something lies whose index is `index`.

    `stride` is an integer, and the answer their product; or a pointer to int32, a table of such answers (the rows of a
    window); or both, ``(table, stride)``, for table[index] * stride (the chosen rows of a matrix).
    """

    def generate(context, builder, signature, arguments):
        def widened(value):
            return builder.sext(value, LONG) if value.type.width < 64 else value

        value, position = arguments
        if isinstance(stride, types.Integer):
            return builder.mul(widened(value), widened(position), flags=["nsw"])
        if isinstance(stride, types.BaseTuple):
            table, factor = (builder.extract_value(value, part) for part in (0, 1))
            return builder.mul(widened(builder.load(builder.gep(table, [position]))), widened(factor), flags=["nsw"])
        return widened(builder.load(builder.gep(value, [position])))

    return types.int64(stride, index), generate


def _copying(count, instruction):
    def copy(typing, to, place, source, start, is_inside):
        def generate(context, builder, signature, arguments):
            shared = builder.bitcast(_address(context, builder, to, *arguments[:2]), BYTE.as_pointer())
            shared = builder.ptrtoint(builder.addrspacecast(shared, BYTE.as_pointer(3)), WORD)
            pointer = builder.bitcast(_address(context, builder, source, *arguments[2:4]), BYTE.as_pointer())
            taken = builder.select(arguments[4], WORD(count), WORD(0))
            kind = ir.FunctionType(ir.VoidType(), [WORD, BYTE.as_pointer(), WORD])
            code = f"{{ .reg .u64 from; cvta.to.global.u64 from, $1; {instruction} [$0], [from], {count}, $2; }}"
            builder.call(ir.InlineAsm(kind, code, "r,l,r,~{memory}", side_effect=True), [shared, pointer, taken])
            return context.get_dummy_value()

        return types.void(to, place, source, start, types.boolean), generate

    return copy


# cp_async16(to, place, source, start, is_inside): begin to copy 16 bytes of global memory to shared memory, both
# aligned to 16; zeros if not `is_inside`, in which case nothing is read. cp_async4 is the same for one float32.
cp_async16 = intrinsic(_copying(16, "cp.async.cg.shared.global"))
cp_async4 = intrinsic(_copying(4, "cp.async.ca.shared.global"))


def _statement(code):
    def statement(typing):
        def generate(context, builder, signature, arguments):
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(ir.InlineAsm(kind, code, "~{memory}", side_effect=True), [])
            return context.get_dummy_value()

        return types.void(), generate

    return statement


# cp_commit() closes a group of copies; cp_wait1() waits until at most one group, the last, is under way, cp_wait0()
# until none is: of this thread's copies. Those of others are there after a cuda.syncthreads() that follows.
cp_commit = intrinsic(_statement("cp.async.commit_group;"))
cp_wait0 = intrinsic(_statement("cp.async.wait_group 0;"))
cp_wait1 = intrinsic(_statement("cp.async.wait_group 1;"))


@intrinsic
def tf32(typing, value):
    """The bits of a float32 rounded to the nearest TF32 (10 bits of mantissa, ties away from zero)."""

    def generate(context, builder, signature, arguments):
        kind = ir.FunctionType(WORD, [FLOAT])
        return builder.call(ir.InlineAsm(kind, "cvt.rna.tf32.f32 $0, $1;", "=r,f"), arguments)

    return types.int32(types.float32), generate


@intrinsic
def mma_tf32(typing, c0, c1, c2, c3, a0, a1, a2, a3, b0, b1):
    """C + A B of a whole warp, C 16×8, A 16×8 and B 8×8: this thread's four of the result.

    With g = lane // 4 and q = lane % 4 a thread holds C[g, 2q], C[g, 2q+1], C[g+8, 2q], C[g+8, 2q+1]; A[g, q],
    A[g+8, q], A[g, q+4], A[g+8, q+4]; B[q, g], B[q+4, g]. (PTX ISA, "Matrix Fragments for mma.m16n8k8".)
    """

    def generate(context, builder, signature, arguments):
        result = ir.LiteralStructType([FLOAT] * 4)
        kind = ir.FunctionType(result, [WORD] * 6 + [FLOAT] * 4)
        code = (
            "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
            "{$0,$1,$2,$3}, {$4,$5,$6,$7}, {$8,$9}, {$10,$11,$12,$13};"
        )
        asm = ir.InlineAsm(kind, code, "=f,=f,=f,=f,r,r,r,r,r,r,f,f,f,f", side_effect=True)
        value = builder.call(asm, [*arguments[4:], *arguments[:4]])
        return context.make_tuple(
            builder, signature.return_type, [builder.extract_value(value, part) for part in range(4)]
        )

    return types.UniTuple(types.float32, 4)(*[types.float32] * 4, *[types.int32] * 6), generate


@intrinsic
def add_release(typing, counter, value):
    """Add to an int32 that all blocks see, and give what it was; what this thread wrote before is seen before."""

    def generate(context, builder, signature, arguments):
        kind = ir.FunctionType(WORD, [WORD.as_pointer(), WORD])
        code = "atom.add.release.gpu.global.u32 $0, [$1], $2;"
        return builder.call(ir.InlineAsm(kind, code, "=r,l,r,~{memory}", side_effect=True), arguments)

    return types.int32(counter, types.int32), generate


@intrinsic
def load_acquire(typing, counter):
    """Read an int32 that others add to; what they wrote before adding is seen after."""

    def generate(context, builder, signature, arguments):
        kind = ir.FunctionType(WORD, [WORD.as_pointer()])
        code = "ld.acquire.gpu.global.u32 $0, [$1];"
        return builder.call(ir.InlineAsm(kind, code, "=r,l,~{memory}", side_effect=True), arguments)

    return types.int32(counter), generate


@intrinsic
def add_atomic(typing, base, place, value):
    """Add to a number of global memory to which others may be adding; in which order, nobody knows."""

    def generate(context, builder, signature, arguments):
        pointer = _address(context, builder, base, *arguments[:2])
        number = pointer.type.pointee
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, number])
        bits, letter = (32, "f") if isinstance(number, ir.FloatType) else (64, "d")
        code = f"{{ .reg .u64 to; cvta.to.global.u64 to, $0; red.global.add.f{bits} [to], $1; }}"
        builder.call(ir.InlineAsm(kind, code, f"l,{letter},~{{memory}}", side_effect=True), [pointer, arguments[2]])
        return context.get_dummy_value()

    return types.void(base, place, base.dtype), generate
