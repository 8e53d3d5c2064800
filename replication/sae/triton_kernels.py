"""Kernels of the sparse step on a GPU; `gpu.py` says in which order they run and owns every array (ours).

Names of sizes: D elements of a vector, BLOCK_D the power of two that holds them, PITCH the row length of the screen's copies.
Capital letters are known when a kernel is compiled. A pair is a (vector, feature) that fired; a candidate is one that may have.
The group of a pair is (feature, vector // GROUP); `ends[feature * groups + vector // GROUP]` is where its pairs end in the list
of all pairs ordered by feature, then by vector.
"""
# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201, ANN202
# triton gives the types, to arguments as to everything else

import triton
import triton.language as tl


@triton.jit
def _one_over_power_of_two(value):
    """1 / p for the largest power of two p that is at most `value` (positive, float32): made of its exponent bits; 1 for 0."""
    bits = value.to(tl.int32, bitcast=True) & 0x7F800000
    return tl.where(bits > 0, 0x7F000000 - bits, 0x3F800000).to(tl.float32, bitcast=True)


@triton.jit
def _store_for_screen(values, row, copies, marks, rows, d, inside, PITCH: tl.constexpr, HALF: tl.constexpr, MARGIN: tl.constexpr):
    """Store a row's copy for the screen, and three marks by which the screen bounds its error.

    values: [BLOCK_D]; copies: [rows, PITCH], float16 if HALF, times a power of two s that brings them into (-2, 2), so that small
    values keep their digits; else float32 and s = 1. marks: [3, rows]: s, and for the row times s a bound N of its norm and of
    its copy's, and a bound L of the norm of what rounding took away, plus MARGIN * N for what sums in float32 take away.
    With v the row times s and c its copy, v.v' = c.c' + (v - c).v' + c.(v' - c'), so by Cauchy-Schwarz |v.v' - c.c'| <= L N' + N L'.
    """
    if HALF:
        scale = _one_over_power_of_two(tl.max(tl.abs(values), 0))
        scaled = values * scale
        copy = scaled.to(tl.float16)
    else:
        scale = 1.0
        scaled = values
        copy = values
    back = copy.to(tl.float32)
    # 1.001 covers the rounding of the norms themselves
    lost = 1.001 * tl.sqrt(tl.sum((scaled - back) * (scaled - back), 0))
    norm = 1.001 * tl.sqrt(tl.sum(back * back, 0)) + lost
    tl.store(copies + row * PITCH + d, copy, mask=inside)
    tl.store(marks + row, scale)
    tl.store(marks + rows + row, norm)
    tl.store(marks + 2 * rows + row, lost + MARGIN * norm)


@triton.jit
def centre(x, b_dec, xbar, copies, marks, rows, D: tl.constexpr, BLOCK_D: tl.constexpr, PITCH: tl.constexpr, HALF: tl.constexpr, MARGIN: tl.constexpr):
    """``xbar = x - b_dec``, and the screen's copy of it. One program per vector. x, xbar: [batch, D]; copies, marks: see `_store_for_screen`."""
    row = tl.program_id(0).to(tl.int64)
    d = tl.arange(0, BLOCK_D)
    inside = d < D
    centred = tl.load(x + row * D + d, mask=inside, other=0.0) - tl.load(b_dec + d, mask=inside, other=0.0)
    tl.store(xbar + row * D + d, centred, mask=inside)
    _store_for_screen(centred, row, copies, marks, rows, d, inside, PITCH, HALF, MARGIN)


@triton.jit
def copy_weights(W_enc, copies, marks, rows, D: tl.constexpr, BLOCK_D: tl.constexpr, PITCH: tl.constexpr, HALF: tl.constexpr, MARGIN: tl.constexpr):
    """The screen's copy of the encoder. One program per feature. W_enc: [d_sae, D]."""
    row = tl.program_id(0).to(tl.int64)
    d = tl.arange(0, BLOCK_D)
    inside = d < D
    _store_for_screen(tl.load(W_enc + row * D + d, mask=inside, other=0.0), row, copies, marks, rows, d, inside, PITCH, HALF, MARGIN)


@triton.jit
def _ones(words):
    """The number of ones among the 32 bits of each int32."""
    words = words - ((words >> 1) & 0x55555555)
    words = (words & 0x33333333) + ((words >> 2) & 0x33333333)
    words = (words + (words >> 4)) & 0x0F0F0F0F
    words = words + (words >> 8)
    return (words + (words >> 16)) & 63


@triton.jit
def screen(
    x_copies, x_marks, x_rows, w_copies, w_marks, w_rows, b_enc, slots, counts, batch, d_sae, span,
    PITCH: tl.constexpr, ROOM: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, INNER: tl.constexpr,
):  # fmt: skip
    """Find each vector's candidates: every feature whose pre-activation may be above 0, in ascending order.

        candidate where  c.c' + s s' b_enc + L N' + N L' >= 0

    with c, s, N, L the copy, scale and bounds of the vector, c', ... those of the feature (see `_store_for_screen`).
    x_copies: [x_rows, PITCH] and w_copies: [w_rows, PITCH], padded with zeros to whole tiles; b_enc: [d_sae].
    slots: int32 [batch, ranges, ROOM]; counts: int32 [batch, ranges], the number of candidates of a vector among the `span`
    features of a range, also where there are more than ROOM of them (those beyond are not stored, and the host looks).
    A program owns ROWS vectors and one range, and walks over its tiles of COLUMNS features. So it knows how many candidates
    came before, nothing is counted by atomics, and a tile's product never leaves the chip.
    """
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    segment = rows * tl.num_programs(1) + tl.program_id(1)
    x_scale = tl.load(x_marks + rows)
    x_norm = tl.load(x_marks + x_rows + rows)
    x_lost = tl.load(x_marks + 2 * x_rows + rows)
    k = tl.arange(0, INNER)
    x_at = x_copies + rows.to(tl.int64)[:, None] * PITCH + k[None, :]
    lane = tl.full([32], 1, tl.int32) << tl.arange(0, 32)
    held = tl.zeros([ROWS], tl.int32)
    for start in range(tl.program_id(1) * span, (tl.program_id(1) + 1) * span, COLUMNS):
        columns = start + tl.arange(0, COLUMNS)
        w_at = w_copies + columns.to(tl.int64)[None, :] * PITCH + k[:, None]
        product = tl.zeros([ROWS, COLUMNS], tl.float32)
        for inner in range(0, PITCH, INNER):
            product = tl.dot(tl.load(x_at + inner), tl.load(w_at + inner), product, input_precision="ieee")
        w_norm = tl.load(w_marks + w_rows + columns)
        w_lost = tl.load(w_marks + 2 * w_rows + columns)
        bias = tl.load(b_enc + columns, mask=columns < d_sae, other=0.0) * tl.load(w_marks + columns)
        bound = product + x_scale[:, None] * bias[None, :] + x_lost[:, None] * w_norm[None, :] + x_norm[:, None] * w_lost[None, :]
        # not (bound >= 0): what is no number is a candidate too, so that the loss shows it
        candidate = tl.where(bound < 0.0, 0, 1).reshape(ROWS, COLUMNS // 32, 32)
        # few of them are ones, so pack them, leave out what only fills the tile, and take the ones out of all words at a time
        words = tl.sum(candidate * lane[None, None, :], 2)
        words &= tl.sum(tl.where((columns < d_sae).reshape(COLUMNS // 32, 32), lane[None, :], 0), 1)[None, :]
        words = tl.where((rows < batch)[:, None], words, 0)
        number = _ones(words)
        place = segment[:, None] * ROOM + held[:, None] + tl.cumsum(number, 1) - number
        space = (ROOM - held)[:, None] - tl.cumsum(number, 1) + number
        first = start + 32 * tl.arange(0, COLUMNS // 32)
        for rank in range(0, tl.max(tl.max(number, 1), 0)):
            lowest = words & (0 - words)
            column = first[None, :] + (((lowest.to(tl.float32).to(tl.int32, bitcast=True) >> 23) & 255) - 127)
            tl.store(slots + place + rank, column, mask=(lowest != 0) & (rank < space))
            words = words & (words - 1)
        held += tl.sum(number, 1)
    tl.store(counts + segment, held, mask=rows < batch)


@triton.jit
def _place(k, held, ROOM: tl.constexpr):
    """Where the k-th candidate of a vector lies in its row of slots; `held` counts those of each range."""
    behind = k[:, None] >= tl.cumsum(held, 0)[None, :]
    return tl.sum(behind.to(tl.int32), 1) * ROOM + k - tl.sum(tl.where(behind, held[None, :], 0), 1)


@triton.jit
def decode(
    xbar, W_enc, b_enc, W_dec, slots, counts, d_xhat, parts, arrived, group_counts, batch, groups, per_element, per_vector,
    FIRST: tl.constexpr, D: tl.constexpr, BLOCK_D: tl.constexpr, RANGES: tl.constexpr, ROOM: tl.constexpr, GROUP: tl.constexpr, PAIRS: tl.constexpr,
):  # fmt: skip
    """Activations in float32, reconstruction, its gradient and the loss of one vector per program.

        f = relu(W_enc' xbar + b_enc) ; d_xhat = 2 per_element (W_dec' f - xbar)

    Only candidates are looked at, and here it is decided, by a dot product in float32, which of them fired.
    xbar, d_xhat: [batch, D]; W_enc, W_dec: [d_sae, D]; parts: [3, batch], this vector's share of mse, l1 and l0.
    arrived: int32 as slots: how many pairs of the group came before this one did, in the order of chance; -1 where nothing fired.
    group_counts: int32 [d_sae, groups], 0 before. FIRST: whether xbar is taken off, which one rank does where several hold features.
    """
    row = tl.program_id(0).to(tl.int64)
    d = tl.arange(0, BLOCK_D)
    inside = d < D
    x = tl.load(xbar + row * D + d, mask=inside, other=0.0)
    held = tl.load(counts + row * RANGES + tl.arange(0, RANGES))
    total = tl.sum(held, 0)
    residual = -x if FIRST else tl.zeros([BLOCK_D], tl.float32)
    norm = tl.zeros([PAIRS], tl.float32)
    number = tl.zeros([PAIRS], tl.float32)
    for start in range(0, total, PAIRS):
        k = start + tl.arange(0, PAIRS)
        mine = row * RANGES * ROOM + _place(k, held, ROOM)
        feature = tl.load(slots + mine, mask=k < total, other=0).to(tl.int64)
        some = (k < total)[:, None] & inside[None, :]
        at = feature[:, None] * D + d[None, :]
        encoder = tl.load(W_enc + at, mask=some, other=0.0)
        decoder = tl.load(W_dec + at, mask=some, other=0.0)
        f = tl.sum(encoder * x[None, :], 1) + tl.load(b_enc + feature, mask=k < total, other=0.0)
        fired = (k < total) & ((f <= 0.0) == 0)
        f = tl.where(fired, f, 0.0)
        residual += tl.sum(f[:, None] * decoder, 0)
        norm += f
        number += fired.to(tl.float32)
        before = tl.atomic_add(group_counts + feature * groups + row // GROUP, 1, mask=fired, sem="relaxed")
        tl.store(arrived + mine, tl.where(fired, before, -1), mask=k < total)
    tl.store(d_xhat + row * D + d, residual * (2 * per_element), mask=inside)
    tl.store(parts + row, tl.sum(residual * residual, 0) * per_element)
    tl.store(parts + batch + row, tl.sum(norm, 0) * per_vector)
    tl.store(parts + 2 * batch + row, tl.sum(number, 0) * per_vector)


@triton.jit
def gather_groups(
    slots, counts, arrived, group_counts, ends, listed, groups,
    RANGES: tl.constexpr, ROOM: tl.constexpr, GROUP: tl.constexpr, PAIRS: tl.constexpr,
):  # fmt: skip
    """Write the number of each pair's vector into its group's part of `listed`: int32 [pairs], within a group in the order of chance.

    One program per vector. slots, counts, arrived, group_counts: see `decode`; ends: int32 [d_sae, groups].
    """
    row = tl.program_id(0).to(tl.int64)
    held = tl.load(counts + row * RANGES + tl.arange(0, RANGES))
    total = tl.sum(held, 0)
    for start in range(0, total, PAIRS):
        k = start + tl.arange(0, PAIRS)
        mine = row * RANGES * ROOM + _place(k, held, ROOM)
        before = tl.load(arrived + mine, mask=k < total, other=-1)
        fired = before >= 0
        group = tl.load(slots + mine, mask=fired, other=0) * groups + row // GROUP
        begin = tl.load(ends + group, mask=fired, other=0) - tl.load(group_counts + group, mask=fired, other=0)
        tl.store(listed + begin + before, tl.zeros([PAIRS], tl.int32) + row.to(tl.int32), mask=fired)


@triton.jit
def order_groups(
    slots, counts, arrived, group_counts, ends, listed, vectors, block_features, groups,
    RANGES: tl.constexpr, ROOM: tl.constexpr, GROUP: tl.constexpr, PAIRS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Order each group by vector, so that sums over pairs never depend on chance.

    One program per vector; arguments as in `gather_groups`. A pair's place is the number of smaller vectors in its group.
    vectors: int32 [pairs], by feature, then by vector; block_features: the feature of every BLOCK-th of them.
    """
    row = tl.program_id(0).to(tl.int64)
    held = tl.load(counts + row * RANGES + tl.arange(0, RANGES))
    total = tl.sum(held, 0)
    others = tl.arange(0, GROUP)
    for start in range(0, total, PAIRS):
        k = start + tl.arange(0, PAIRS)
        mine = row * RANGES * ROOM + _place(k, held, ROOM)
        fired = tl.load(arrived + mine, mask=k < total, other=-1) >= 0
        feature = tl.load(slots + mine, mask=fired, other=0)
        group = feature * groups + row // GROUP
        size = tl.load(group_counts + group, mask=fired, other=0)
        begin = tl.load(ends + group, mask=fired, other=0) - size
        members = tl.load(listed + begin[:, None] + others[None, :], mask=others[None, :] < size[:, None], other=0x7FFFFFFF)
        position = begin + tl.sum((members < row).to(tl.int32), 1)
        tl.store(vectors + position, tl.zeros([PAIRS], tl.int32) + row.to(tl.int32), mask=fired)
        tl.store(block_features + position // BLOCK, feature, mask=fired & (position % BLOCK == 0))


@triton.jit
def _sum_pairs(
    vectors, begin, number, gap_at, gap, encoder, bias, decoder, l1, xbar, d_xhat, d, inside,
    D: tl.constexpr, BLOCK_D: tl.constexpr, PAIRS: tl.constexpr,
):  # fmt: skip
    """Gradients of one feature from `number` of its pairs, those at `begin` and after, without the `gap` positions from `gap_at` on.

        f = W_enc' xbar + b_enc ; d_f = W_dec d_xhat + l1 ; returns sum d_f xbar, sum f d_xhat, sum d_f

    encoder, decoder: [BLOCK_D], the feature's rows. f and d_f are made again here, since the rows they need are read anyway.
    """
    to_encoder = tl.zeros([BLOCK_D], tl.float32)
    to_decoder = tl.zeros([BLOCK_D], tl.float32)
    to_bias = tl.zeros([PAIRS], tl.float32)
    for start in range(0, number, PAIRS):
        k = start + tl.arange(0, PAIRS)
        position = begin + k
        position = tl.where(position >= gap_at, position + gap, position)
        vector = tl.load(vectors + position, mask=k < number, other=0).to(tl.int64)
        some = (k < number)[:, None] & inside[None, :]
        at = vector[:, None] * D + d[None, :]
        x = tl.load(xbar + at, mask=some, other=0.0)
        g = tl.load(d_xhat + at, mask=some, other=0.0)
        f = tl.where(k < number, tl.sum(x * encoder[None, :], 1) + bias, 0.0)
        d_f = tl.where(k < number, tl.sum(g * decoder[None, :], 1) + l1, 0.0)
        to_encoder += tl.sum(d_f[:, None] * x, 0)
        to_decoder += tl.sum(f[:, None] * g, 0)
        to_bias += d_f
    return to_encoder, to_decoder, tl.sum(to_bias, 0)


@triton.jit
def block_gradients(
    vectors, ends, block_features, xbar, d_xhat, W_enc, b_enc, W_dec, numbers, block_W_enc, block_W_dec, block_b_enc, d_sae, groups,
    D: tl.constexpr, BLOCK_D: tl.constexpr, PAIRS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Gradients from BLOCK pairs at a time where a whole block is one feature's, so that a dense feature is not one program's work.

    One program per block. block_W_enc, block_W_dec: [blocks, D]; block_b_enc: [blocks]; numbers[0] is l1 / batch.
    """
    block = tl.program_id(0)
    if (block + 1) * BLOCK <= tl.load(ends + d_sae * groups - 1):
        feature = tl.load(block_features + block).to(tl.int64)
        if (block + 1) * BLOCK <= tl.load(ends + (feature + 1) * groups - 1):
            d = tl.arange(0, BLOCK_D)
            inside = d < D
            encoder = tl.load(W_enc + feature * D + d, mask=inside, other=0.0)
            decoder = tl.load(W_dec + feature * D + d, mask=inside, other=0.0)
            to_encoder, to_decoder, to_bias = _sum_pairs(
                vectors, block * BLOCK, BLOCK, (block + 1) * BLOCK, 0, encoder, tl.load(b_enc + feature), decoder, tl.load(numbers),
                xbar, d_xhat, d, inside, D, BLOCK_D, PAIRS)  # fmt: skip
            at = block.to(tl.int64) * D + d
            tl.store(block_W_enc + at, to_encoder, mask=inside)
            tl.store(block_W_dec + at, to_decoder, mask=inside)
            tl.store(block_b_enc + block, to_bias)


@triton.jit
def feature_gradients(
    vectors, ends, group_counts, xbar, d_xhat, W_enc, b_enc, W_dec, numbers, block_W_enc, block_W_dec, block_b_enc,
    d_W_enc, d_b_enc, d_W_dec, fired, groups, D: tl.constexpr, BLOCK_D: tl.constexpr, PAIRS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Gradients of one feature per program: its pairs before its first whole block and after its last, plus what the blocks hold.

    d_W_enc, d_W_dec: [d_sae, D]; d_b_enc, fired (int32, its number of pairs): [d_sae]; all as the last step left them, so that a
    feature that was silent then and is silent now has its zeros already.
    """
    feature = tl.program_id(0).to(tl.int64)
    d = tl.arange(0, BLOCK_D)
    inside = d < D
    begin = tl.load(ends + feature * groups) - tl.load(group_counts + feature * groups)
    end = tl.load(ends + (feature + 1) * groups - 1)
    if (end > begin) | (tl.load(fired + feature) > 0):
        whole_from = tl.minimum(end, (begin + BLOCK - 1) // BLOCK * BLOCK)
        whole_to = tl.maximum(whole_from, end // BLOCK * BLOCK)
        gap = whole_to - whole_from
        encoder = tl.load(W_enc + feature * D + d, mask=inside, other=0.0)
        decoder = tl.load(W_dec + feature * D + d, mask=inside, other=0.0)
        to_encoder, to_decoder, to_bias = _sum_pairs(
            vectors, begin, end - begin - gap, whole_from, gap, encoder, tl.load(b_enc + feature), decoder, tl.load(numbers),
            xbar, d_xhat, d, inside, D, BLOCK_D, PAIRS)  # fmt: skip
        for block in range(whole_from // BLOCK, whole_to // BLOCK):
            at = block * D + d
            to_encoder += tl.load(block_W_enc + at, mask=inside, other=0.0)
            to_decoder += tl.load(block_W_dec + at, mask=inside, other=0.0)
            to_bias += tl.load(block_b_enc + block)
        tl.store(d_W_enc + feature * D + d, to_encoder, mask=inside)
        tl.store(d_W_dec + feature * D + d, to_decoder, mask=inside)
        tl.store(d_b_enc + feature, to_bias)
        tl.store(fired + feature, end - begin)


@triton.jit
def _adam(weight, gradient, first_at, second_at, mask, numbers, beta1, beta2, rest1, rest2, eps):
    """The weight after one step of Adam, in PyTorch's formula; moments are updated in place.

    numbers[1] is lr / (1 - beta1^t), numbers[2] is 1 / sqrt(1 - beta2^t): they change each step, so they lie in memory.
    rest1, rest2: 1 - beta1 and 1 - beta2, taken in float64 as PyTorch does.
    """
    first = tl.load(first_at, mask=mask, other=0.0)
    first += rest1 * (gradient - first)
    second = beta2 * tl.load(second_at, mask=mask, other=0.0) + rest2 * gradient * gradient
    tl.store(first_at, first, mask=mask)
    tl.store(second_at, second, mask=mask)
    return weight - tl.load(numbers + 1) * tl.div_rn(first, tl.sqrt_rn(second) * tl.load(numbers + 2) + eps)


@triton.jit
def update_features(
    W_enc, b_enc, W_dec, d_W_enc, d_b_enc, d_W_dec, fired, W_enc_first, W_enc_second, b_enc_first, b_enc_second, W_dec_first, W_dec_second,
    numbers, beta1, beta2, rest1, rest2, eps, copies, marks, rows,
    D: tl.constexpr, BLOCK_D: tl.constexpr, PITCH: tl.constexpr, HALF: tl.constexpr, MARGIN: tl.constexpr,
):  # fmt: skip
    """One feature's update per program: encoder row and bias, decoder row (projected before, at unit norm after), the screen's copy.

        g = d_W_dec - (d_W_dec . W_dec) W_dec ; Adam ; W_dec = W_dec / |W_dec|

    All arrays are [d_sae, D] or [d_sae]. Where nothing fired the gradient is 0 and is not read; moments act all the same.
    """
    row = tl.program_id(0).to(tl.int64)
    d = tl.arange(0, BLOCK_D)
    inside = d < D
    at = row * D + d
    some = inside & (tl.load(fired + row) > 0)
    decoder = tl.load(W_dec + at, mask=inside, other=0.0)
    gradient = tl.load(d_W_dec + at, mask=some, other=0.0)
    gradient -= tl.sum(gradient * decoder, 0) * decoder
    decoder = _adam(decoder, gradient, W_dec_first + at, W_dec_second + at, inside, numbers, beta1, beta2, rest1, rest2, eps)
    decoder = tl.where(inside, decoder, 0.0)
    norm = tl.sqrt_rn(tl.sum(decoder * decoder, 0))
    tl.store(W_dec + at, decoder / tl.maximum(norm, 1.1754943508222875e-38), mask=inside)  # the smallest normal float32: a row of zeros stays
    encoder = tl.load(W_enc + at, mask=inside, other=0.0)
    gradient = tl.load(d_W_enc + at, mask=some, other=0.0)
    encoder = _adam(encoder, gradient, W_enc_first + at, W_enc_second + at, inside, numbers, beta1, beta2, rest1, rest2, eps)
    encoder = tl.where(inside, encoder, 0.0)
    tl.store(W_enc + at, encoder, mask=inside)
    _store_for_screen(encoder, row, copies, marks, rows, d, inside, PITCH, HALF, MARGIN)
    one = tl.arange(0, 1)
    bias = tl.load(b_enc + row + one)
    bias = _adam(bias, tl.load(d_b_enc + row + one), b_enc_first + row + one, b_enc_second + row + one, one < 1, numbers, beta1, beta2, rest1, rest2, eps)
    tl.store(b_enc + row + one, bias)


@triton.jit
def update_vector(b_dec, d_b_dec, first, second, numbers, beta1, beta2, rest1, rest2, eps, D: tl.constexpr, BLOCK_D: tl.constexpr):
    """Adam of the one decoder bias, [D]; one program."""
    d = tl.arange(0, BLOCK_D)
    inside = d < D
    weight, gradient = tl.load(b_dec + d, mask=inside, other=0.0), tl.load(d_b_dec + d, mask=inside, other=0.0)
    tl.store(b_dec + d, _adam(weight, gradient, first + d, second + d, inside, numbers, beta1, beta2, rest1, rest2, eps), mask=inside)
