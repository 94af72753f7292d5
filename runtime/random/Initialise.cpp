// Initialisers as PyTorch defines them, from Philox streams.

#include "runtime/random/Initialise.h"

#include "runtime/random/Normals.h"
#include "runtime/support/Error.h"
#include "runtime/support/Json.h"
#include "runtime/support/Tensor.h"
#include "runtime/threads/ThreadPool.h"

#include <cmath>
#include <cstring>
#include <sys/mman.h>
#include <vector>

namespace kiln {

namespace {

struct Fans {
  double in = 1, out = 1;
};

/// torch.nn.init._calculate_fan_in_and_fan_out; a vector counts as one row.
Fans fansOf(std::span<const int64_t> shape) {
  if (shape.size() < 2)
    return {shape.empty() ? 1.0 : static_cast<double>(shape[0]), 1.0};
  double field = 1;
  for (size_t i = 2; i < shape.size(); ++i)
    field *= static_cast<double>(shape[i]);
  return {static_cast<double>(shape[1]) * field, static_cast<double>(shape[0]) * field};
}

double gainOf(const Json &init, double fallback) {
  if (const Json *gain = init.find("gain"))
    return gain->number();
  std::string kind = init.stringOr("nonlinearity", "");
  if (kind.empty())
    return fallback;
  if (kind == "linear" || kind == "sigmoid" || kind == "identity")
    return 1.0;
  if (kind == "tanh")
    return 5.0 / 3.0;
  if (kind == "relu")
    return std::sqrt(2.0);
  if (kind == "leaky_relu")
    return std::sqrt(2.0 / (1.0 + std::pow(init.numberOr("a", 0.01), 2)));
  if (kind == "selu")
    return 0.75;
  fail("initialiser: unknown nonlinearity '%s'", kind.c_str());
}

struct Target {
  kiln_dtype dtype;
  int64_t count;
  void *data;
  ThreadPool &pool;

  /// Of much memory the pages are given back: they are zeros when they are next read or written, and take no room
  /// until then. A cache of keys takes what has been written of it.
  void clear() {
    constexpr int64_t much = 4 << 20, page = 4096;
    int64_t bytes = count * static_cast<int64_t>(dtypeSize(dtype)),
            front = -reinterpret_cast<intptr_t>(data) & (page - 1);
    int64_t whole = bytes < much ? 0 : (bytes - front) / page * page;
    auto *from = static_cast<uint8_t *>(data);
    if (whole == 0 || madvise(from + front, static_cast<size_t>(whole), MADV_DONTNEED) != 0)
      return clear(from, bytes);
    clear(from, front);
    clear(from + front + whole, bytes - front - whole);
  }
  void clear(uint8_t *from, int64_t bytes) {
    constexpr int64_t piece = 1 << 20;
    pool.forRange((bytes + piece - 1) / piece, [&](int64_t begin, int64_t end) {
      std::memset(from + begin * piece, 0, static_cast<size_t>(std::min(end * piece, bytes) - begin * piece));
    });
  }
  template <typename Function> void fill(Function value) {
    pool.forRange((count + 4095) / 4096, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin * 4096; i < std::min(end * 4096, count); ++i)
        storeNumber(dtype, data, i, value(static_cast<uint64_t>(i)));
    });
  }
  /// Element i from random words i * wordsEach and on (1 or 2), which come in blocks of four.
  template <int wordsEach, typename Draw> void fillDrawn(const RandomStream &random, Draw draw) {
    constexpr int64_t each = 4 / wordsEach, chunk = 4096;
    pool.forRange((count + chunk - 1) / chunk, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin * chunk, last = std::min(end * chunk, count); i < last; i += each) {
        std::array<uint32_t, 4> words = random.block(static_cast<uint64_t>(i / each));
        for (int64_t k = 0; k < std::min(each, last - i); ++k)
          storeNumber(dtype, data, i + k, draw(words.data() + k * wordsEach));
      }
    });
  }
  void uniform(const RandomStream &random, double low, double high) {
    fillDrawn<1>(random, [&](const uint32_t *word) {
      return low + (high - low) * static_cast<double>(RandomStream::uniformOf(word[0]));
    });
  }
  void normal(const RandomStream &random, double mean, double deviation) {
    if (dtype == KILN_F32)
      return pool.forRange((count + 4095) / 4096, [&](int64_t begin, int64_t end) {
        int64_t first = begin * 4096, last = std::min(end * 4096, count);
        fillNormals(random, mean, deviation, static_cast<uint64_t>(first), last - first,
                    static_cast<float *>(data) + first);
      });
    fillDrawn<2>(random,
                 [&](const uint32_t *word) { return mean + deviation * RandomStream::normalOf(word[0], word[1]); });
  }
};

/// A standard normal kept within [low, high] by drawing again, up to a bound that is never met in practice.
double truncated(const RandomStream &random, uint64_t element, double low, double high) {
  for (uint64_t attempt = 0; attempt < 64; ++attempt) {
    double value = random.normal(element * 64 + attempt);
    if (value >= low && value <= high)
      return value;
  }
  return std::fmin(std::fmax(0.0, low), high);
}

/// Orthonormal rows or columns: modified Gram-Schmidt, run twice, on normal draws (the sign of R's diagonal is
/// positive, which is torch's choice too).
void orthogonal(Target &target, const RandomStream &random, std::span<const int64_t> shape, double gain) {
  if (shape.size() < 2)
    throw Error("initialiser orthogonal needs a shape of at least two dimensions");
  int64_t rows = shape[0], columns = rows ? target.count / rows : 0;
  bool transposed = rows < columns;
  int64_t length = std::max(rows, columns), vectors = std::min(rows, columns);
  std::vector<double> q(static_cast<size_t>(length * vectors));
  for (size_t i = 0; i < q.size(); ++i)
    q[i] = random.normal(i);
  auto column = [&](int64_t j) { return q.data() + j * length; };
  for (int64_t j = 0; j < vectors; ++j) {
    for (int pass = 0; pass < 2; ++pass)
      for (int64_t k = 0; k < j; ++k) {
        double dot = 0;
        for (int64_t i = 0; i < length; ++i)
          dot += column(k)[i] * column(j)[i];
        for (int64_t i = 0; i < length; ++i)
          column(j)[i] -= dot * column(k)[i];
      }
    double norm = 0;
    for (int64_t i = 0; i < length; ++i)
      norm += column(j)[i] * column(j)[i];
    norm = std::sqrt(norm);
    for (int64_t i = 0; i < length; ++i)
      column(j)[i] /= norm;
  }
  target.fill([&](uint64_t i) {
    int64_t row = static_cast<int64_t>(i) / columns, col = static_cast<int64_t>(i) % columns;
    return gain * (transposed ? column(row)[col] : column(col)[row]);
  });
}

double fanFor(const Json &init, const Fans &fans) {
  if (const Json *fan = init.find("fan"))
    return fan->number();
  std::string mode = init.stringOr("mode", "fan_in");
  if (mode != "fan_in" && mode != "fan_out")
    fail("initialiser: unknown mode '%s' (fan_in or fan_out)", mode.c_str());
  return mode == "fan_in" ? fans.in : fans.out;
}

void fillByKind(const std::string &name, const Json &init, const RandomStream &random, std::span<const int64_t> shape,
                Target &target) {
  std::string kind = init.stringOr("kind", "zeros");
  Fans fans = fansOf(shape);
  if (kind == "ones" || kind == "constant") {
    double value = kind == "ones" ? 1.0 : init.at("value").number();
    target.fill([=](uint64_t) { return value; });
  } else if (kind == "eye") {
    if (shape.size() != 2)
      fail("initialiser eye of '%s' needs two dimensions, found %s", name.c_str(), describeShape(shape).c_str());
    uint64_t columns = static_cast<uint64_t>(shape[1]);
    target.fill([=](uint64_t i) { return i / columns == i % columns ? 1.0 : 0.0; });
  } else if (kind == "uniform") {
    target.uniform(random, init.numberOr("low", 0.0), init.numberOr("high", 1.0));
  } else if (kind == "normal") {
    target.normal(random, init.numberOr("mean", 0.0), init.numberOr("std", 1.0));
  } else if (kind == "truncated_normal") {
    double mean = init.numberOr("mean", 0.0), deviation = init.numberOr("std", 1.0);
    double low = (init.numberOr("low", -2.0) - mean) / deviation,
           high = (init.numberOr("high", 2.0) - mean) / deviation;
    target.fill([&](uint64_t i) { return mean + deviation * truncated(random, i, low, high); });
  } else if (kind == "xavier_uniform") {
    double bound = gainOf(init, 1.0) * std::sqrt(6.0 / (fans.in + fans.out));
    target.uniform(random, -bound, bound);
  } else if (kind == "xavier_normal") {
    target.normal(random, 0.0, gainOf(init, 1.0) * std::sqrt(2.0 / (fans.in + fans.out)));
  } else if (kind == "kaiming_uniform" || kind == "kaiming_normal") {
    double a = init.numberOr("a", 0.0);
    double deviation = gainOf(init, std::sqrt(2.0 / (1.0 + a * a))) / std::sqrt(fanFor(init, fans));
    if (kind == "kaiming_normal")
      target.normal(random, 0.0, deviation);
    else
      target.uniform(random, -std::sqrt(3.0) * deviation, std::sqrt(3.0) * deviation);
  } else if (kind == "default") {
    double bound = 1.0 / std::sqrt(fanFor(init, fans));
    target.uniform(random, -bound, bound);
  } else if (kind == "orthogonal") {
    orthogonal(target, random, shape, gainOf(init, 1.0));
  } else {
    fail("'%s' has an unknown initialiser '%s'", name.c_str(), kind.c_str());
  }
}

} // namespace

void initialise(const std::string &name, const Json *init, uint32_t seed, kiln_dtype dtype,
                std::span<const int64_t> shape, void *data, ThreadPool &pool, bool zeroed) {
  int64_t count = countElements(shape).value_or(0);
  Target target{dtype, count, data, pool};
  bool zeros = !init || !init->isObject() || init->stringOr("kind", "zeros") == "zeros";
  if (zeros && !zeroed)
    target.clear();
  if (zeros || count == 0)
    return;
  std::string what = "initialise:" + init->stringOr("of", name);
  RandomStream random(seed, namedStream(what.data(), what.size()));
  fillByKind(name, *init, random, shape, target);
  if (const Json *row = init->find("zero_row")) {
    size_t bytes = static_cast<size_t>(count / shape[0]) * dtypeSize(dtype);
    double number = row->number();
    if (!(number >= 0 && number < static_cast<double>(shape[0])))
      fail("initialiser of '%s': there is no row %g", name.c_str(), number);
    std::memset(static_cast<uint8_t *>(data) + static_cast<size_t>(number) * bytes, 0, bytes);
  }
}

} // namespace kiln
