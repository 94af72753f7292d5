//===- DoubleFunctions.h - f64 functions for GLSL, which has none
//---------------------------------------------------===//
//
// For scalars, such as a learning rate's schedule: right to a few units in the last place, and not fast. Reductions are
// those of fdlibm; polynomials are Taylor's, as long as it takes.
//
//===----------------------------------------------------------------------------------------------------------------===//
#ifndef KILN_SDK_DOUBLEFUNCTIONS_H
#define KILN_SDK_DOUBLEFUNCTIONS_H

namespace kiln::sdk {

inline constexpr const char *glslPower2Double =
    "double kiln_power2_f64(int k) { return packDouble2x32(uvec2(0u, uint(k + 1023) << 20)); }";

inline constexpr const char *glslExpRestDouble = R"(// e^r - 1 for |r| < 0.6.
double kiln_exp_rest_f64(double r) {
  double p = r / 15.0lf;
  for (int n = 14; n > 1; n--)
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

inline constexpr const char *glslTrigDouble = R"(// sin(x + quarter * pi / 2); the remainder is exact for |x| < 1e6.
double kiln_trig_f64(double x, int quarter) {
  if (!(abs(x) <= 1.7976931348623157e308lf))
    return kiln_nan_f64();
  double k = roundEven(x * 6.36619772367581382433e-01lf);
  double r = ((x - k * 1.57079632673412561417e+00lf) - k * 6.07710050630396597660e-11lf) - k * 2.02226624879595063154e-21lf;
  int turn = (int(k - 4.0lf * floor(k * 0.25lf)) + quarter) & 3;
  double z = r * r, sum = 0.0lf;
  bool even = (turn & 1) == 0;
  // Horner: 1 - z/(2*3) (1 - z/(4*5) (...)), or 1 - z/(1*2) (1 - z/(3*4) (...)).
  for (int n = 10; n > 0; n--) {
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
    for (int n = 20; n > 0; n--)
      sum = (1.0lf / double(2 * n + 1) + sum) * (-size * size) / double(n);
    result = 1.12837916709551257390lf * (size + size * sum);
  } else {
    // 1 less the complement, a continued fraction.
    double fraction = 0.0lf;
    for (int n = 600; n > 0; n--)
      fraction = double(n) * 0.5lf / (size + fraction);
    result = 1.0lf - 0.56418958354775628695lf * kiln_exp_f64(-size * size) / (size + fraction);
  }
  return x < 0.0lf ? -result : x == 0.0lf ? x : result;
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
  if (size == 0.0lf || size == inf) {
    result = (size == inf) == (y > 0.0lf) ? inf : 0.0lf;
  } else if (whole && abs(y) < 1024.0lf) {
    // By squares, which loses less than the logarithm does.
    result = 1.0lf;
    double power = size;
    for (int n = int(abs(y)); n > 0; n >>= 1) {
      if ((n & 1) != 0)
        result = result * power;
      power = power * power;
    }
    result = y < 0.0lf ? 1.0lf / result : result;
  } else {
    result = kiln_exp_f64(y * kiln_log_f64(size));
  }
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
  for (int n = 0; n < 2100 && a >= b; n++) {
    int shift = int((unpackDouble2x32(a).y >> 20) & 0x7ffu) - int((unpackDouble2x32(b).y >> 20) & 0x7ffu);
    int first = shift > 1000 ? 1000 : shift < 0 ? 0 : shift;
    double c = b * kiln_power2_f64(first) * kiln_power2_f64((shift < 0 ? 0 : shift) - first);
    a = a - (c > a ? c * 0.5lf : c);
  }
  return (unpackDouble2x32(x).y >> 31) != 0u ? -a : a;
})";

} // namespace kiln::sdk

#endif // KILN_SDK_DOUBLEFUNCTIONS_H
