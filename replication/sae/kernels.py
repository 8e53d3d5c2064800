"""Loops over fired pairs, compiled by numba; `sparse` and `adam` call them on ranges of rows, one range a thread.

Every sum runs over one row in one fixed order, so no result depends on how rows are dealt to threads. A pair is a
feature that fired on a vector; pairs are held vector by vector, features ascending. Sums may be reassociated into SIMD
lanes (`reassoc`), but not under the assumption that nothing is infinite or NaN. Source: ours.
"""

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

FAST = {"reassoc", "contract", "nsz"}
GROUP = 32  # features whose screen is looked at together; 16 or fewer and LLVM does not make SIMD code of the loop
# A bfloat16 result is off by at most 2^-8 of itself; the rest covers the rounding of the comparison.
BFLOAT16_ROUNDING = np.float32(0.0040)
FLUSH = np.float32(1e-35)  # moments below are set to 0: they move no weight, and denormal numbers are slow
TINY = np.float32(1e-30)  # more than terms that a product may have flushed to zero
ZERO = np.float32(0)


@intrinsic
def _widen(context, value):
    """A bfloat16, held as uint16, or a float32 as float32."""

    def generate(_, builder, signature, arguments):
        if signature.args[0] == types.float32:
            return arguments[0]
        wide = builder.zext(arguments[0], ir.IntType(32))
        return builder.bitcast(builder.shl(wide, ir.Constant(ir.IntType(32), 16)), ir.FloatType())

    return types.float32(value), generate


@intrinsic
def _narrow(context, value, like):
    """A float32 in the format of `like`: to nearest, ties to even."""

    def generate(_, builder, signature, arguments):
        if signature.args[1] == types.float32:
            return arguments[0]
        word = ir.IntType(32)
        bits = builder.bitcast(arguments[0], word)
        odd = builder.and_(builder.lshr(bits, ir.Constant(word, 16)), ir.Constant(word, 1))
        return builder.trunc(builder.lshr(builder.add(bits, builder.add(odd, ir.Constant(word, 0x7FFF))), ir.Constant(word, 16)), ir.IntType(16))

    return like(value, like), generate


def kernel(function):
    """Compile, keep the machine code on disk, and let other threads run meanwhile."""
    return njit(function, nogil=True, cache=True, fastmath=FAST, error_model="numpy")


@kernel
def _dot(a, b):
    total = ZERO
    for i in range(a.shape[0]):
        total += a[i] * b[i]
    return total


@kernel
def _dots(vector, table, rows, out):
    """``out[k] = vector . table[rows[k]]``, four rows at a time: their reads of memory are under way together."""
    k = 0
    while k + 4 <= rows.shape[0]:
        a, b, c, d = table[rows[k]], table[rows[k + 1]], table[rows[k + 2]], table[rows[k + 3]]
        sum_a, sum_b, sum_c, sum_d = ZERO, ZERO, ZERO, ZERO
        for i in range(vector.shape[0]):
            sum_a += vector[i] * a[i]
            sum_b += vector[i] * b[i]
            sum_c += vector[i] * c[i]
            sum_d += vector[i] * d[i]
        out[k], out[k + 1], out[k + 2], out[k + 3] = sum_a, sum_b, sum_c, sum_d
        k += 4
    while k < rows.shape[0]:
        out[k] = _dot(vector, table[rows[k]])
        k += 1


@kernel
def quantise(rows, out, norms, errors):
    """Round rows [n, d] to the format of `out` (bfloat16, as uint16, or float32); the norm of each, and of what rounding took from it."""
    for r in range(rows.shape[0]):
        row, target = rows[r], out[r]
        norm, error = ZERO, ZERO
        for i in range(row.shape[0]):
            rounded = _narrow(row[i], target[i])
            target[i] = rounded
            lost = row[i] - _widen(rounded)
            norm += row[i] * row[i]
            error += lost * lost
        norms[r], errors[r] = np.sqrt(norm), np.sqrt(error)


@kernel
def _may_fire(product, rounding, slack, norm, bias):
    return product + rounding * abs(product) + (bias + slack * norm) > -TINY


@kernel
def fire(product, rounding, slack, norms, bias, x, W_enc, candidates, products, feature, f, counts):
    """Find the fired pairs of a block of vectors, and their activations.

    `product` [vector, d_sae] is x W_enc' to within ``rounding * |product| + slack[vector] * norms[feature]``. Where that leaves room for a
    positive pre-activation the pair is a candidate, and one float32 product decides: so which pairs fire, and how
    strongly, is the same for every `product` within the bound. Writes `counts` of each vector, its features and their
    activations; returns the number of pairs.
    """
    pairs, whole = 0, product.shape[1] - product.shape[1] % GROUP
    for r in range(x.shape[0]):
        row, own, found = product[r], slack[r], 0
        for start in range(0, whole, GROUP):
            part, part_bias, part_norms = row[start : start + GROUP], bias[start : start + GROUP], norms[start : start + GROUP]
            hit = np.uint32(0)
            for j in range(GROUP):
                hit |= np.uint32(_may_fire(_widen(part[j]), rounding, own, part_norms[j], part_bias[j]))
            if hit:
                for j in range(GROUP):
                    candidates[found] = start + j
                    found += np.int64(_may_fire(_widen(part[j]), rounding, own, part_norms[j], part_bias[j]))
        for j in range(whole, row.shape[0]):
            candidates[found] = j
            found += np.int64(_may_fire(_widen(row[j]), rounding, own, norms[j], bias[j]))
        _dots(x[r], W_enc, candidates[:found], products)
        begin = pairs
        for k in range(found):
            j = candidates[k]
            feature[pairs], f[pairs] = j, products[k] + bias[j]
            pairs += np.int64(f[pairs] > ZERO)
        counts[r] = pairs - begin
    return pairs


@kernel
def _decode(row, W_dec, feature, f):
    """``row += f W_dec`` of one vector's pairs."""
    p, end = 0, feature.shape[0]
    while p + 4 <= end:  # four rows at a time keep four reads of memory under way
        a, b, c, d = W_dec[feature[p]], W_dec[feature[p + 1]], W_dec[feature[p + 2]], W_dec[feature[p + 3]]
        fa, fb, fc, fd = f[p], f[p + 1], f[p + 2], f[p + 3]
        for i in range(row.shape[0]):
            row[i] += (fa * a[i] + fb * b[i]) + (fc * c[i] + fd * d[i])
        p += 4
    while p < end:
        a, fa = W_dec[feature[p]], f[p]
        for i in range(row.shape[0]):
            row[i] += fa * a[i]
        p += 1


@kernel
def _weigh_error(row, W_dec, feature, scale, l1, d_f):
    """Squared norm of one vector's residual, which is scaled in place, and the gradient of f of its pairs."""
    total = ZERO
    for i in range(row.shape[0]):
        total += row[i] * row[i]
        row[i] *= scale
    _dots(row, W_dec, feature, d_f)
    for p in range(d_f.shape[0]):
        d_f[p] += l1
    return total


@kernel
def reconstruct(xbar, W_dec, feature, f, counts, scale, l1, residual, d_f, squares):
    """Residual, squared error and gradient of f of a block of vectors, from its pairs.

    ``residual = scale * (f W_dec - xbar)`` is the gradient of xhat, `squares` the unscaled squared norm of each row, and
    ``d_f = residual . W_dec[feature] + l1``. One pass, so that rows of `W_dec` are still in the cache for `d_f`.
    """
    at = 0
    for r in range(xbar.shape[0]):
        row, end = residual[r], at + counts[r]
        for i in range(row.shape[0]):
            row[i] = -xbar[r, i]
        _decode(row, W_dec, feature[at:end], f[at:end])
        squares[r] = _weigh_error(row, W_dec, feature[at:end], scale, l1, d_f[at:end])
        at = end


@kernel
def decode(W_dec, feature, f, counts, residual):
    """The first half of `reconstruct`, where others hold features too: ``residual += f W_dec``."""
    at = 0
    for r in range(counts.shape[0]):
        end = at + counts[r]
        _decode(residual[r], W_dec, feature[at:end], f[at:end])
        at = end


@kernel
def weigh_errors(W_dec, feature, counts, scale, l1, residual, d_f, squares):
    """The second half of `reconstruct`, from residuals that hold all features."""
    at = 0
    for r in range(counts.shape[0]):
        end = at + counts[r]
        squares[r] = _weigh_error(residual[r], W_dec, feature[at:end], scale, l1, d_f[at:end])
        at = end


@kernel
def regroup(feature, counts, starts, order, vector):
    """Order pairs by feature, vectors ascending: `order` holds a pair's number, `vector` its vector. Fills `starts` [d_sae + 1]."""
    starts[:] = 0
    for p in range(feature.shape[0]):
        starts[feature[p] + 1] += 1
    for j in range(starts.shape[0] - 1):
        starts[j + 1] += starts[j]
    at = 0
    for r in range(counts.shape[0]):
        for p in range(at, at + counts[r]):
            place = starts[feature[p]]
            order[place], vector[place] = p, r
            starts[feature[p]] = place + 1
        at += counts[r]
    for j in range(starts.shape[0] - 1, 0, -1):  # each start has moved to its end, which is the next one's start
        starts[j] = starts[j - 1]
    starts[0] = 0


@kernel
def weigh(low, high, starts, order, vector, f, d_f, xbar, residual, W_enc, b_enc, W_dec):
    """Gradients of the features `low` to `high` from their pairs: W_enc and W_dec [d_sae, d_in], b_enc."""
    for j in range(low, high):
        encoder, decoder, bias = W_enc[j], W_dec[j], ZERO
        encoder[:] = ZERO
        decoder[:] = ZERO
        q, end = starts[j], starts[j + 1]
        while q + 4 <= end:
            a, b, c, d = order[q], order[q + 1], order[q + 2], order[q + 3]
            va, vb, vc, vd = vector[q], vector[q + 1], vector[q + 2], vector[q + 3]
            fa, fb, fc, fd = f[a], f[b], f[c], f[d]
            ra, rb, rc, rd = residual[va], residual[vb], residual[vc], residual[vd]
            for i in range(decoder.shape[0]):
                decoder[i] += (fa * ra[i] + fb * rb[i]) + (fc * rc[i] + fd * rd[i])
            ga, gb, gc, gd = d_f[a], d_f[b], d_f[c], d_f[d]
            xa, xb, xc, xd = xbar[va], xbar[vb], xbar[vc], xbar[vd]
            for i in range(encoder.shape[0]):
                encoder[i] += (ga * xa[i] + gb * xb[i]) + (gc * xc[i] + gd * xd[i])
            bias += (ga + gb) + (gc + gd)
            q += 4
        while q < end:
            a, va = order[q], vector[q]
            fa, ga, ra, xa = f[a], d_f[a], residual[va], xbar[va]
            for i in range(decoder.shape[0]):
                decoder[i] += fa * ra[i]
                encoder[i] += ga * xa[i]
            bias += ga
            q += 1
        b_enc[j] = bias


@kernel
def _adam(weight, gradient, first, second, beta1, beta2, rest1, rest2, rate, correction, eps):
    """One row of Adam, in place: ``weight -= rate * first / (sqrt(second) * correction + eps)``."""
    for i in range(weight.shape[0]):
        m = beta1 * first[i] + rest1 * gradient[i]
        v = beta2 * second[i] + rest2 * (gradient[i] * gradient[i])
        m = m if abs(m) > FLUSH else ZERO
        v = v if v > FLUSH else ZERO
        first[i], second[i] = m, v
        weight[i] -= rate * m / (np.sqrt(v) * correction + eps)


@kernel
def adam_rows(low, high, weight, gradient, first, second, beta1, beta2, rest1, rest2, rate, correction, eps):
    """Adam on the rows `low` to `high`."""
    for j in range(low, high):
        _adam(weight[j], gradient[j], first[j], second[j], beta1, beta2, rest1, rest2, rate, correction, eps)


@kernel
def adam_unit_rows(low, high, weight, gradient, first, second, beta1, beta2, rest1, rest2, rate, correction, eps):
    """Adam on rows of unit norm: without the gradient's part along the row, and back to unit norm after. Changes `gradient`."""
    for j in range(low, high):
        row, slope = weight[j], gradient[j]
        along = _dot(row, slope)
        for i in range(row.shape[0]):
            slope[i] -= along * row[i]
        _adam(row, slope, first[j], second[j], beta1, beta2, rest1, rest2, rate, correction, eps)
        norm = np.sqrt(_dot(row, row))
        if norm > ZERO:
            for i in range(row.shape[0]):
                row[i] /= norm
