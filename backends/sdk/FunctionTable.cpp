// The functions' texts; see Functions.cpp.
#include "FunctionTable.h"

namespace kiln::sdk {

static constexpr Function functions[] = {
    {"bits_of"},
    {"float_of"},
    {"double_of"},
    {"i64_of_f64"},
    {"f64_of_i64"},
    {"mul_hi"},
    {"inf_f64"},
    {"minus_inf_f64"},
    {"nan_f64"},
    {"plus_zero_f32"},
    {"plus_zero_f64"},
    {"zero_times_f32"},
    {"zero_over_f32"},
    {"zero_times_f64"},
    {"zero_over_f64"},
    {"max_f32", R"($fn float kiln_max_f32(float a, float b) {
  return ($bits(a) & 0x7fffffffu) > 0x7f800000u ? a : ($bits(b) & 0x7fffffffu) > 0x7f800000u ? b : a < b ? b : a;
})"},
    {"min_f32", R"($fn float kiln_min_f32(float a, float b) {
  return ($bits(a) & 0x7fffffffu) > 0x7f800000u ? a : ($bits(b) & 0x7fffffffu) > 0x7f800000u ? b : b < a ? b : a;
})"},
    {"max_f64", "$fn double kiln_max_f64(double a, double b) { return a != a || a > b ? a : b; }"},
    {"min_f64", "$fn double kiln_min_f64(double a, double b) { return a != a || a < b ? a : b; }"},
    {"abs_f32", nullptr, "fabs(x)"},
    {"abs_f64", nullptr, "fabs(x)"},
    {"sqrt_f32", nullptr, "sqrt(x)"},
    {"sqrt_f64", nullptr, "sqrt(x)"},
    {"floor_f32", nullptr, "floor(x)"},
    {"floor_f64", nullptr, "floor(x)"},
    {"ceil_f32", nullptr, "ceil(x)"},
    {"ceil_f64", nullptr, "ceil(x)"},
    {"round_f32", nullptr, "rint(x)"},
    {"round_f64", nullptr, "rint(x)"},
    {"power2", "$fn float kiln_power2($int k) { return $real($uint(k + 127) << 23); }"},
    {"exp_rest", R"(// e^r - 1 for |r| <= ln 2 / 2: Cephes' expf.
$fn float kiln_exp_rest(float r) {
  float p = $fma(1.9875691500e-4f, r, 1.3981999507e-3f);
  p = $fma(p, r, 8.3334519073e-3f);
  p = $fma(p, r, 4.1665795894e-2f);
  p = $fma(p, r, 1.6666665459e-1f);
  p = $fma(p, r, 5.0000001201e-1f);
  return $fma(p, r * r, r);
})"},
    {"exp_f32", R"($fn float kiln_exp_f32(float x) {
  float limited = x > 90.0f ? 90.0f : x < -105.0f ? -105.0f : x;
  float k = $rint(limited * 1.44269504f);
  float r = $fma(k, 2.12194440e-4f, $fma(k, -0.693359375f, limited));
  float p = kiln_exp_rest(r) + 1.0f;
  // In two steps: results beyond either end of the range come out as infinity, or denormal.
  $int n = limited == limited ? $int(k) : 0, half_n = n >> 1;
  return p * kiln_power2(half_n) * kiln_power2(n - half_n);
})",
     "exp(x)"},
    {"expm1_f32", R"($fn float kiln_expm1_f32(float x) {
  float limited = x > 89.0f ? 89.0f : x < -40.0f ? -40.0f : x;
  float k = $rint(limited * 1.44269504f);
  float r = $fma(k, 2.12194440e-4f, $fma(k, -0.693359375f, limited));
  float scale = kiln_power2((limited == limited ? $int(k) : 0) - 1);
  float result = 2.0f * $fma(kiln_exp_rest(r), scale, scale - 0.5f);
  return x == 0.0f ? x : result;
})",
     "expm1(x)"},
    {"log_finite", R"(// ln x of a finite positive x: Cephes' logf.
$fn float kiln_log_finite(float x) {
  bool denormal = x < 1.17549435e-38f;
  $uint bits = $bits(denormal ? x * 33554432.0f : x);
  $int exponent = $int(bits - 0x3f3504f3u) >> 23;
  float m = $real(bits - ($uint(exponent) << 23)), e = $float(exponent - (denormal ? 25 : 0));
  float z = m - 1.0f, s = z * z;
  float p = $fma(7.0376836292e-2f, z, -1.1514610310e-1f);
  p = $fma(p, z, 1.1676998740e-1f);
  p = $fma(p, z, -1.2420140846e-1f);
  p = $fma(p, z, 1.4249322787e-1f);
  p = $fma(p, z, -1.6668057665e-1f);
  p = $fma(p, z, 2.0000714765e-1f);
  p = $fma(p, z, -2.4999993993e-1f);
  p = $fma(p, z, 3.3333331174e-1f);
  float y = $fma(e, -2.12194440e-4f, p * s * z);
  y = $fma(s, -0.5f, y);
  return $fma(e, 0.693359375f, z + y);
})"},
    {"log_special", R"(// Puts in what the polynomial does not know: 0, infinity, negative numbers and NaN.
$fn float kiln_log_special(float x, float result) {
  return x > 0.0f ? x > 3.40282347e38f ? x : result : x == 0.0f ? $real(0xff800000u) : $real(0x7fc00000u);
})"},
    {"log_f32", "$fn float kiln_log_f32(float x) { return kiln_log_special(x, kiln_log_finite(x)); }", "log(x)"},
    {"log1p_f32", R"($fn float kiln_log1p_f32(float x) {
  // ln(1 + x), with what rounding took from the sum put back to first order.
  float u = x + 1.0f, lost = x - (u - 1.0f);
  float result = kiln_log_special(u, kiln_log_finite(u) + lost / u);
  return $abs(x) < 2.98023224e-8f ? x : result;
})",
     "log1p(x)"},
    {"tanh_f32", R"($fn float kiln_tanh_f32(float x) {
  float t = kiln_expm1_f32(-2.0f * $abs(x));
  float result = -t / (t + 2.0f);
  return $real($bits(result) & 0x7fffffffu | $bits(x) & 0x80000000u);
})",
     "tanh(x)"},
    {"erf_f32", R"(// After N. Juffa: below 0.9277 x + x p(x^2), above 1 - exp(q(|x|)).
$fn float kiln_erf_f32(float x) {
  float t = $abs(x), s = x * x;
  float p = $fma(-5.96761703e-4f, s, 4.99119423e-3f);
  p = $fma(p, s, -2.67681349e-2f);
  p = $fma(p, s, 1.12819925e-1f);
  p = $fma(p, s, -3.76125336e-1f);
  p = $fma(p, s, 1.28379166e-1f);
  float limited = t > 5.0f ? 5.0f : t;
  float a = $fma(-1.72853470e-5f, limited, 3.83197126e-4f), b = $fma(-3.88396438e-3f, limited, 2.42546219e-2f);
  float q = $fma(a, limited * limited, b);
  q = $fma(q, limited, -1.06777877e-1f);
  q = $fma(q, limited, -6.34846687e-1f);
  q = $fma(q, limited, -1.28717512e-1f);
  q = $fma(q, limited, -limited);
  float large = 1.0f - kiln_exp_f32(q);
  large = x < 0.0f ? -large : large;
  return t > 0.927734375f ? large : $fma(p, x, x);
})",
     "erf(x)"},
    {"two_over_pi", R"(// The i-th 32 bits of 2/pi.
$fn $uint kiln_two_over_pi($int i) {
  return i < 0    ? 0u
         : i == 0 ? 0x28be60dbu
         : i == 1 ? 0x9391054au
         : i == 2 ? 0x7f09d5f4u
         : i == 3 ? 0x7d4d3770u
         : i == 4 ? 0x36d8a566u
                  : 0x4f10e410u;
})"},
    {"circular_far",
     R"(// Payne and Hanek's reduction, after N. Juffa: the rest of |x| by pi/2 as a fraction of 64 bits; x is finite.
$fn float kiln_circular_far(float x, $int quadrant_of_result) {
  $uint bits = $bits(x);
  $uint mantissa = ((bits & 0x007fffffu) | 0x00800000u) << 8;
  $int exponent = $int((bits >> 23) & 255u) - 126, word = exponent >> 5, shift = exponent & 31;
  $uint high = kiln_two_over_pi(word - 1), middle = kiln_two_over_pi(word), low = kiln_two_over_pi(word + 1);
  if (shift != 0) {
    high = (high << shift) | (middle >> (32 - shift));
    middle = (middle << shift) | (low >> (32 - shift));
    low = (low << shift) | (kiln_two_over_pi(word + 2) >> (32 - shift));
  }
  $uint carry = $mulhi(mantissa, low), product = mantissa * middle, p_low = product + carry;
  $uint p_high = $mulhi(mantissa, middle) + (p_low < carry ? 1u : 0u) + mantissa * high;
  $int quadrant = $int(p_high >> 30);
  p_high = p_high & 0x3fffffffu;
  bool above = p_high >= 0x20000000u;
  if (above) { // the fraction less one, negated
    quadrant = quadrant + 1;
    p_low = ~p_low + 1u;
    p_high = 0x40000000u - p_high - (p_low == 0u ? 0u : 1u);
  }
  float r = ($float(p_high) * 4294967296.0f + $float(p_low)) * 3.40612159e-19f;
  bool negative = (bits >> 31) != 0u;
  r = above != negative ? -r : r;
  return quadrant_of_result != 0 ? $float(negative ? -quadrant : quadrant) : r;
})"},
    {"circular", R"(// sin of x + quarters * pi/2.
$fn float kiln_circular(float x, $int quarters) {
  float k = $rint(x * 0.636619772f), r;
  $int quadrant;
  if (!($abs(x) <= 3.40282347e38f))
    return $real(0x7fc00000u);
  if ($abs(x) < 8192.0f) {
    // Products of k, 13 bits, and 11 bits are exact whether or not the language rounds between the two.
    r = $fma(k, -1.570312500e+00f, x);
    r = $fma(k, -4.837512970e-04f, r);
    r = $fma(k, -7.549533620e-08f, r);
    r = $fma(k, -2.563344152e-12f, r);
    quadrant = $int(k) + quarters;
  } else {
    r = kiln_circular_far(x, 0);
    quadrant = $int(kiln_circular_far(x, 1)) + quarters;
  }
  float s = r * r;
  float sine = $fma(2.71811842e-6f, s, -1.98393347e-4f);
  sine = $fma(sine, s, 8.33329447e-3f);
  sine = $fma(sine, s, -1.66666672e-1f);
  sine = $fma(sine * s, r, r);
  float cosine = $fma(2.44331571e-5f, s, -1.38873162e-3f);
  cosine = $fma(cosine, s, 4.16666456e-2f);
  cosine = $fma(cosine, s, -0.5f);
  cosine = $fma(cosine, s, 1.0f);
  float result = (quadrant & 1) != 0 ? cosine : sine;
  return (quadrant & 2) != 0 ? -result : result;
})"},
    {"sin_f32", "$fn float kiln_sin_f32(float x) { return x == 0.0f ? x : kiln_circular(x, 0); }", "sin(x)"},
    {"cos_f32", "$fn float kiln_cos_f32(float x) { return kiln_circular(x, 1); }", "cos(x)"},
    {"product_low",
     R"(// What rounding takes from a * b, by parts whose products are exact (Dekker): GLSL's fma may round twice.
$fn float kiln_product_low(float a, float b) {
  float ah = $real($bits(a) & 0xfffff000u), bh = $real($bits(b) & 0xfffff000u), al = a - ah, bl = b - bh;
  return ((ah * bh - a * b) + ah * bl + al * bh) + al * bl;
})"},
    {"pow_positive", R"(// x^y for a finite positive x: the logarithm in two floats.
$fn float kiln_pow_positive(float x, float y) {
  bool denormal = x < 1.17549435e-38f;
  $uint bits = $bits(denormal ? x * 33554432.0f : x);
  $int exponent = $int(bits - 0x3f3504f3u) >> 23;
  float m = $real(bits - ($uint(exponent) << 23)), e = $float(exponent - (denormal ? 25 : 0));
  // ln m = 2 atanh(s), s = (m - 1) / (m + 1) = high + low.
  float n = m - 1.0f, d = m + 1.0f, d_low = m - (d - 1.0f);
  float high = n / d, low = ((n - high * d) - kiln_product_low(high, d) - high * d_low) / d;
  float z = high * high;
  float p = $fma(2.33413801e-1f, z, 2.85504222e-1f);
  p = $fma(p, z, 4.00001258e-1f);
  p = $fma(p, z, 6.66666687e-1f);
  float a = 2.0f * high, tail = $fma(high * z, p, 2.0f * low);
  // Times log2 e, plus e.
  float b = a * 1.44269502f;
  float b_low = kiln_product_low(a, 1.44269502f) + $fma(a, 1.92596299e-8f, tail * 1.44269502f);
  float l_high = e + b, l_rest = (e == 0.0f ? 0.0f : b - (l_high - e)) + b_low;
  float l = l_high + l_rest, l_low = l_rest - (l - l_high);
  float t = y * l;
  if (t >= 129.0f)
    return $real(0x7f800000u);
  if (!(t > -151.0f))
    return t == t ? 0.0f : t;
  float k = $rint(t), f = (t - k) + (kiln_product_low(y, l) + y * l_low);
  float r = kiln_exp_rest(f * 0.693147182f) + 1.0f;
  $int whole = $int(k), half_k = whole >> 1;
  return r * kiln_power2(half_k) * kiln_power2(whole - half_k);
})"},
    {"pow_f32", R"($fn float kiln_pow_f32(float x, float y) {
  if (x == 1.0f || y == 0.0f)
    return 1.0f;
  if (x != x || y != y)
    return x + y;
  float size = $abs(x), inf = $real(0x7f800000u);
  bool whole = $abs(y) >= 8388608.0f || y == floor(y);
  bool odd = $abs(y) < 16777216.0f && whole && ($int(y) & 1) != 0;
  float result;
  if ($abs(y) == inf)
    return size == 1.0f ? 1.0f : (size > 1.0f) == (y > 0.0f) ? inf : 0.0f;
  if (size == 0.0f || size == inf)
    result = (size == inf) == (y > 0.0f) ? inf : 0.0f;
  else
    result = kiln_pow_positive(size, y);
  if (($bits(x) >> 31) == 0u)
    return result;
  if (!whole && size != 0.0f && size != inf)
    return $real(0x7fc00000u);
  return odd ? -result : result;
})",
     "pow(x, y)"},
    {"fmod_f32", R"(// Exact: the rest of an integer, eight bits of the exponents' difference at a time.
$fn float kiln_fmod_f32(float x, float y) {
  $uint a = $bits(x) & 0x7fffffffu, b = $bits(y) & 0x7fffffffu, sign = $bits(x) & 0x80000000u;
  if (b == 0u || a >= 0x7f800000u || b > 0x7f800000u)
    return $real(0x7fc00000u);
  if (a < b)
    return x;
  $int ea = $int(a >> 23), eb = $int(b >> 23);
  $uint ma = ea == 0 ? a : (a & 0x7fffffu) | 0x800000u, mb = eb == 0 ? b : (b & 0x7fffffu) | 0x800000u;
  ea = ea == 0 ? 1 : ea;
  eb = eb == 0 ? 1 : eb;
  ma = ma % mb;
  $int left = ea - eb;
  for (; left >= 8; left -= 8)
    ma = (ma << 8) % mb;
  ma = (ma << left) % mb;
  if (ma == 0u)
    return $real(sign);
  $int e = eb, up = 150 - $int($bits($float(ma)) >> 23); // to 24 bits
  up = up < e ? up : e - 1;
  ma = ma << up;
  e = e - up;
  return $real(sign | (ma >= 0x800000u ? (ma - 0x800000u) | ($uint(e) << 23) : ma));
})",
     "fmod(x, y)", 32},
    {"power2_f64"},
    {"exp_rest_f64"},
    {"two_over_pi_f64"},
    {"trig_far_f64"},
    {"trig_f64"},
    {"exp_f64", nullptr, "exp(x)"},
    {"expm1_f64", nullptr, "expm1(x)"},
    {"log_f64", nullptr, "log(x)"},
    {"log1p_f64", nullptr, "log1p(x)"},
    {"sin_f64", nullptr, "sin(x)"},
    {"cos_f64", nullptr, "cos(x)"},
    {"tanh_f64", nullptr, "tanh(x)"},
    {"erf_f64", nullptr, "erf(x)", 51},
    {"product_low_f64"},
    {"pow_positive_f64"},
    {"pow_f64", nullptr, "pow(x, y)"},
    {"fmod_f64", nullptr, "fmod(x, y)", 264},
    {"bf16_f32", "$fn float kiln_bf16_f32($uint h) { return $real(h << 16); }"},
    {"f64_odd", R"(// Towards zero, and odd where that is inexact.
$fn float kiln_f64_odd(double x) {
  float near = $float(x);
  double back = near, excess = (back < 0 ? -back : back) - (x < 0 ? -x : x);
  $uint u = $bits(near);
  return excess > 0 ? $real((u - 1u) | 1u) : excess < 0 ? $real(u | 1u) : near;
})"},
    {"f32_bf16", R"($fn $uint kiln_f32_bf16(float x) {
  $uint u = $bits(x);
  return (u & 0x7fffffffu) > 0x7f800000u ? (u >> 16) | 64u : (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
})"},
    {"f16_f32", R"($fn float kiln_f16_f32($uint h) {
  $uint sign = (h & 0x8000u) << 16, rest = h & 0x7fffu;
  if (rest >= 0x7c00u)
    return $real(sign | 0x7f800000u | ((rest & 0x3ffu) << 13));
  if (rest >= 0x400u)
    return $real(sign | ((rest << 13) + 0x38000000u));
  float small = $float(rest) * 5.96046448e-8f;
  return sign != 0u ? -small : small;
})"},
    {"f32_f16", R"($fn $uint kiln_f32_f16(float x) {
  $uint u = $bits(x), sign = (u >> 16) & 0x8000u, rest = u & 0x7fffffffu;
  if (rest > 0x7f800000u)
    return sign | 0x7e00u;
  if (rest >= 0x477ff000u)
    return sign | 0x7c00u;
  if (rest >= 0x38800000u)
    return sign | ((rest - 0x38000000u + 0xfffu + ((rest >> 13) & 1u)) >> 13);
  return sign | $uint($rint($real(rest) * 16777216.0f));
})"},
    {"philox", R"(// Word `word` of Philox4x32-10 (Salmon et al., SC11) with key (k0, k1) and counter (c0, c1, c2, c3).
$fn $uint kiln_philox($uint word, $uint k0, $uint k1, $uint c0, $uint c1, $uint c2, $uint c3) {
  $unroll for ($int i = 0; i < 10; i++) {
    $uint h0 = $mulhi(0xD2511F53u, c0), l0 = 0xD2511F53u * c0, h2 = $mulhi(0xCD9E8D57u, c2), l2 = 0xCD9E8D57u * c2;
    c0 = h2 ^ c1 ^ k0;
    c1 = l2;
    c2 = h0 ^ c3 ^ k1;
    c3 = l0;
    k0 = k0 + 0x9E3779B9u;
    k1 = k1 + 0xBB67AE85u;
  }
  return word == 0u ? c0 : word == 1u ? c1 : word == 2u ? c2 : c3;
})"},
};

std::span<const Function> functionTable() { return functions; }

} // namespace kiln::sdk
