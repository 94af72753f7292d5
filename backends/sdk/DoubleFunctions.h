// f64 functions for GLSL, which has none.
//
// Loops that always come round a few times are written out by every driver; FunctionTable.cpp counts the others'
// passes. For scalars, such as a learning rate's schedule: right to a few units in the last place, and not fast.
// Reductions are those of fdlibm; polynomials are Taylor's, as long as it takes.
#pragma once

namespace kiln::sdk {

inline constexpr const char *glslPower2Double =
    "double kiln_power2_f64(int k) { return packDouble2x32(uvec2(0u, uint(k + 1023) << 20)); }";

inline constexpr const char *glslExpRestDouble = R"(// e^r - 1 for |r| < 0.6.
double kiln_exp_rest_f64(double r) {
  double p = r / 15.0lf;
  [[unroll]] for (int n = 14; n > 1; n--)
    p = (1.0lf + p) * r / double(n);
  return (1.0lf + p) * r;
})";

inline constexpr const char *glslExpDouble = R"(double kiln_exp_f64(double x) {
  double limited = x > 720.0lf ? 720.0lf : x < -760.0lf ? -760.0lf : x;
  double k = roundEven(limited * 1.44269504088896338700lf);
  double r = (limited - k * 6.93147180369123816490e-01lf) - k * 1.90821492927058770002e-10lf;
  double p = kiln_exp_rest_f64(r) + 1.0lf;
  int n = limited == limited ? int(k) : 0, half_n = n >> 1;
  return p * kiln_power2_f64(half_n) * kiln_power2_f64(n - half_n);
})";

inline constexpr const char *glslExpm1Double = R"(double kiln_expm1_f64(double x) {
  return abs(x) < 0.55lf ? x == 0.0lf ? x : kiln_exp_rest_f64(x) : kiln_exp_f64(x) - 1.0lf;
})";

inline constexpr const char *glslLogDouble = R"(double kiln_log_f64(double x) {
  if (!(x > 0.0lf))
    return x == 0.0lf ? kiln_minus_inf_f64() : kiln_nan_f64();
  if (x > 1.7976931348623157e308lf)
    return x;
  bool denormal = x < 2.2250738585072014e-308lf;
  uvec2 bits = unpackDouble2x32(denormal ? x * 18014398509481984.0lf : x);
  int e = int(bits.y >> 20) - 1023 - (denormal ? 54 : 0);
  double m = packDouble2x32(uvec2(bits.x, (bits.y & 0xfffffu) | 0x3ff00000u));
  if (m > 1.41421356237309514547lf) {
    m = m * 0.5lf;
    e++;
  }
  double f = m - 1.0lf, s = f / (2.0lf + f), z = s * s;
  double r = 1.479819860511658591e-01lf;
  r = r * z + 1.531383769920937332e-01lf;
  r = r * z + 1.818357216161805012e-01lf;
  r = r * z + 2.222219843214978396e-01lf;
  r = r * z + 2.857142874366239149e-01lf;
  r = r * z + 3.999999999940941908e-01lf;
  r = r * z + 6.666666666666735130e-01lf;
  double h = 0.5lf * f * f, k = double(e);
  return k * 6.93147180369123816490e-01lf - ((h - (s * (h + r * z) + k * 1.90821492927058770002e-10lf)) - f);
})";

inline constexpr const char *glslLog1pDouble = R"(double kiln_log1p_f64(double x) {
  // Kahan's: what rounding took from 1 + x cancels in the quotient.
  double u = 1.0lf + x;
  return u == 1.0lf || u > 1.7976931348623157e308lf ? x : u <= 0.0lf || u != u ? kiln_log_f64(u)
                                                                       : kiln_log_f64(u) * (x / (u - 1.0lf));
})";

inline constexpr const char *glslTwoOverPi = R"(// 2 / pi's bits, from the first after the point.
const uint kiln_two_over_pi_words[38] = uint[38](
    0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u, 0xdb629599u, 0x3c439041u, 0xfe5163abu, 0xdebbc561u,
    0xb7246e3au, 0x424dd2e0u, 0x06492eeau, 0x09d1921cu, 0xfe1deb1cu, 0xb129a73eu, 0xe88235f5u, 0x2ebb4484u,
    0xe99c7026u, 0xb45f7e41u, 0x3991d639u, 0x835339f4u, 0x9c845f8bu, 0xbdf9283bu, 0x1ff897ffu, 0xde05980fu,
    0xef2f118bu, 0x5a0a6d1fu, 0x6d367ecfu, 0x27cb09b7u, 0x4f463f66u, 0x9e5fea2du, 0x7527bac7u, 0xebe5f17bu,
    0x3d0739f7u, 0x8a5292eau, 0x6bfb5fb1u, 0x1f8d5d08u, 0x56033046u, 0xfc7b6babu);
uint kiln_two_over_pi_f64(int i) { return i < 0 || i >= 38 ? 0u : kiln_two_over_pi_words[i]; })";

inline constexpr const char *glslTrigFarDouble =
    R"(// Payne and Hanek: the rest of |x| by pi / 2, between -pi / 4 and pi / 4; x is finite and above 1.
double kiln_trig_far_f64(double x, out int quadrant) {
  uvec2 bits = unpackDouble2x32(x);
  uint low = bits.x, high = (bits.y & 0xfffffu) | 0x100000u, f[6], p[6], over = 0u, h, l;
  // Of |x| = m 2^(e - 52), bits of 2 / pi before number e - 54 make multiples of 4. 192 more leave 2^-137 of an error.
  int first = int((bits.y >> 20) & 0x7ffu) - 1023 - 54, word = first >> 5, shift = first & 31;
  [[unroll]] for (int i = 0; i < 6; i++) {
    uint a = kiln_two_over_pi_f64(word + 5 - i), b = kiln_two_over_pi_f64(word + 6 - i);
    f[i] = shift == 0 ? a : (a << shift) | (b >> (32 - shift));
  }
  [[unroll]] for (int i = 0; i < 6; i++) {
    umulExtended(low, f[i], h, l);
    p[i] = l + over;
    over = h + (p[i] < l ? 1u : 0u);
  }
  over = 0u;
  [[unroll]] for (int i = 0; i < 5; i++) {
    umulExtended(high, f[i], h, l);
    uint part = l + over;
    h += part < l ? 1u : 0u;
    p[i + 1] += part;
    over = h + (p[i + 1] < part ? 1u : 0u);
  }
  quadrant = int(p[5] >> 30);
  p[5] &= 0x3fffffffu;
  bool above = p[5] >= 0x20000000u;
  if (above) { // the fraction less one, negated
    quadrant++;
    uint carry = 1u;
    [[unroll]] for (int i = 0; i < 6; i++) {
      p[i] = ~p[i] + carry;
      carry = carry == 1u && p[i] == 0u ? 1u : 0u;
    }
    p[5] &= 0x3fffffffu;
  }
  double sum = double(p[5]);
  [[unroll]] for (int i = 4; i > 1; i--)
    sum = sum * 4294967296.0lf + double(p[i]);
  double r = sum * 1.17549435082228750797e-38lf * 1.57079632679489661923lf; // 2^-126
  bool negative = (bits.y >> 31) != 0u;
  quadrant = negative ? -quadrant : quadrant;
  return above != negative ? -r : r;
})";

inline constexpr const char *glslTrigDouble = R"(// sin(x + quarter * pi / 2).
double kiln_trig_f64(double x, int quarter) {
  if (!(abs(x) <= 1.7976931348623157e308lf))
    return kiln_nan_f64();
  double k = roundEven(x * 6.36619772367581382433e-01lf);
  double r = ((x - k * 1.57079632673412561417e+00lf) - k * 6.07710050630396597660e-11lf) - k * 2.02226624879595063154e-21lf;
  int quadrant = int(k);
  if (abs(x) > 1e6lf) // above that the remainder loses bits
    r = kiln_trig_far_f64(x, quadrant);
  int turn = (quadrant + quarter) & 3;
  double z = r * r, sum = 0.0lf;
  bool even = (turn & 1) == 0;
  // Horner: 1 - z/(2*3) (1 - z/(4*5) (...)), or 1 - z/(1*2) (1 - z/(3*4) (...)).
  [[unroll]] for (int n = 10; n > 0; n--) {
    int a = even ? 2 * n : 2 * n - 1;
    sum = (1.0lf + sum) * -z / double(a * (a + 1));
  }
  double result = even ? (r == 0.0lf ? r : r + r * sum) : 1.0lf + sum;
  return turn < 2 ? result : -result;
})";

inline constexpr const char *glslSinDouble = "double kiln_sin_f64(double x) { return kiln_trig_f64(x, 0); }";
inline constexpr const char *glslCosDouble = "double kiln_cos_f64(double x) { return kiln_trig_f64(x, 1); }";

inline constexpr const char *glslTanhDouble = R"(double kiln_tanh_f64(double x) {
  double size = abs(x);
  if (size < 1e-9lf)
    return x;
  double e = kiln_expm1_f64(2.0lf * (size > 20.0lf ? 20.0lf : size)), result = size > 20.0lf ? 1.0lf : e / (e + 2.0lf);
  return x < 0.0lf ? -result : x == x ? result : x;
})";

inline constexpr const char *glslErfDouble = R"(double kiln_erf_f64(double x) {
  double size = abs(x);
  if (!(size < 6.0lf))
    return x != x ? x : x < 0.0lf ? -1.0lf : 1.0lf;
  double result;
  if (size < 0.7lf) {
    // 2 / sqrt(pi) (x - x^3 / 3 + x^5 / (2! 5) - ...), from its end.
    double sum = 0.0lf;
    [[unroll]] for (int n = 20; n > 0; n--)
      sum = (1.0lf / double(2 * n + 1) + sum) * (-size * size) / double(n);
    result = 1.12837916709551257390lf * (size + size * sum);
  } else {
    // 1 less the complement, a continued fraction.
    double fraction = 0.0lf;
    for (int n = 600; n > 0; n -= 12)
      [[unroll]] for (int u = 0; u < 12; u++)
        fraction = double(n - u) * 0.5lf / (size + fraction);
    result = 1.0lf - 0.56418958354775628695lf * kiln_exp_f64(-size * size) / (size + fraction);
  }
  return x < 0.0lf ? -result : x == 0.0lf ? x : result;
})";

inline constexpr const char *glslProductLowDouble =
    R"(// What rounding takes from a * b, by parts whose products are exact (Dekker).
double kiln_product_low_f64(double a, double b) {
  uvec2 u = unpackDouble2x32(a), v = unpackDouble2x32(b);
  double ah = packDouble2x32(uvec2(u.x & 0xf8000000u, u.y)), bh = packDouble2x32(uvec2(v.x & 0xf8000000u, v.y));
  double al = a - ah, bl = b - bh;
  return ((ah * bh - a * b) + ah * bl + al * bh) + al * bl;
})";

inline constexpr const char *glslPowPositiveDouble = R"(// x^y for a finite positive x: the logarithm in two doubles.
double kiln_pow_positive_f64(double x, double y) {
  bool denormal = x < 2.2250738585072014e-308lf;
  uvec2 bits = unpackDouble2x32(denormal ? x * 18014398509481984.0lf : x);
  double e = double(int(bits.y >> 20) - 1023 - (denormal ? 54 : 0));
  double m = packDouble2x32(uvec2(bits.x, (bits.y & 0xfffffu) | 0x3ff00000u));
  if (m > 1.41421356237309514547lf) {
    m = m * 0.5lf;
    e = e + 1.0lf;
  }
  // ln m = 2 atanh(s), s = (m - 1) / (m + 1) = high + low.
  double n = m - 1.0lf, d = m + 1.0lf, d_low = m - (d - 1.0lf), high = n / d;
  double low = ((n - high * d) - kiln_product_low_f64(high, d) - high * d_low) / d;
  // s^2 and s^3 in two doubles each, what is beyond the term of s^3 in one.
  double z = high * high, z_low = kiln_product_low_f64(high, high) + 2.0lf * high * low;
  double w = high * z, w_low = kiln_product_low_f64(high, z) + high * z_low + low * z;
  double c = w * 0.6666666666666666lf, c_low = kiln_product_low_f64(w, 0.6666666666666666lf) + w_low * 0.6666666666666666lf + w * 3.700743415417188e-17lf;
  double q = 0.0lf;
  [[unroll]] for (int i = 14; i > 1; i--)
    q = q * z + 2.0lf / double(2 * i + 1);
  double a = 2.0lf * high, sum = a + c, sum_low = (c - (sum - a)) + (c_low + (w * z * q + 2.0lf * low));
  // Times log2 e, plus e.
  double b = sum * 1.4426950408889634lf, b_low = kiln_product_low_f64(sum, 1.4426950408889634lf) + (sum * 2.0355273740931033e-17lf + sum_low * 1.4426950408889634lf);
  double l = e + b, l_low = (e == 0.0lf ? 0.0lf : b - (l - e)) + b_low;
  double t = y * l;
  if (t >= 1025.0lf)
    return kiln_inf_f64();
  if (!(t > -1080.0lf))
    return 0.0lf;
  double k = roundEven(t), f = (t - k) + (kiln_product_low_f64(y, l) + y * l_low);
  double r = kiln_exp_rest_f64(f * 0.69314718055994530942lf) + 1.0lf;
  int whole = int(k), half_k = whole >> 1;
  return r * kiln_power2_f64(half_k) * kiln_power2_f64(whole - half_k);
})";

inline constexpr const char *glslPowDouble = R"(double kiln_pow_f64(double x, double y) {
  if (x == 1.0lf || y == 0.0lf)
    return 1.0lf;
  if (x != x || y != y)
    return x + y;
  double size = abs(x), inf = kiln_inf_f64();
  bool whole = y == floor(y), odd = whole && abs(y) < 9007199254740992.0lf && y * 0.5lf != floor(y * 0.5lf);
  if (abs(y) == inf)
    return size == 1.0lf ? 1.0lf : (size > 1.0lf) == (y > 0.0lf) ? inf : 0.0lf;
  double result;
  if (size == 0.0lf || size == inf)
    result = (size == inf) == (y > 0.0lf) ? inf : 0.0lf;
  else
    result = kiln_pow_positive_f64(size, y);
  if ((unpackDouble2x32(x).y >> 31) == 0u)
    return result;
  if (!whole && size != 0.0lf && size != inf)
    return kiln_nan_f64();
  return odd ? -result : result;
})";

inline constexpr const char *glslFmodDouble =
    R"(// Exact: each step takes off a multiple of y, shifted so far that the difference has no rounding.
double kiln_fmod_f64(double x, double y) {
  double a = abs(x), b = abs(y);
  if (!(a <= 1.7976931348623157e308lf) || b != b || b == 0.0lf)
    return kiln_nan_f64();
  if (b > 1.7976931348623157e308lf)
    return x;
  for (int n = 0; n < 2100 && a >= b; n += 8)
  [[unroll]] for (int u = 0; u < 8; u++) if (a >= b) {
    uvec2 p = unpackDouble2x32(a), q = unpackDouble2x32(b);
    int shift = int(p.y >> 20) - int(q.y >> 20);
    // With a's exponent but more than a it could be infinite.
    uint above = q.y & 0xfffffu, below = p.y & 0xfffffu;
    shift = shift > 0 && (above > below || (above == below && q.x > p.x)) ? shift - 1 : shift;
    int first = shift > 1000 ? 1000 : shift, second = shift - first > 1000 ? 1000 : shift - first;
    double c = b * kiln_power2_f64(first) * kiln_power2_f64(second) * kiln_power2_f64(shift - first - second);
    a = a - (c > a ? c * 0.5lf : c);
  }
  return (unpackDouble2x32(x).y >> 31) != 0u ? -a : a;
})";

} // namespace kiln::sdk
