// Splits and the orders of epochs.
#include "runtime/data/Rows.h"

#include "runtime/random/Philox.h"
#include "runtime/support/Error.h"

#include <cmath>
#include <numeric>

namespace kiln {

void shuffle(std::vector<int32_t> &values, uint32_t seed, uint32_t stream, uint32_t epoch) {
  RandomStream random(seed, stream, epoch);
  for (size_t i = values.size(); i > 1; --i)
    std::swap(values[i - 1], values[random.below(i, i)]);
}

double splitFraction(const Json &options, const char *key) {
  const Json *value = options.find(key);
  if (!value || !value->isNumber())
    return 0;
  double fraction = value->number();
  if (fraction < 0 || fraction >= 1)
    fail("'%s': %s is not a fraction of the data, from 0 up to 1", key, shortest(fraction).c_str());
  return fraction;
}

std::vector<std::string> splitPaths(const Json &options, const char *key) {
  const Json *value = options.find(key);
  if (!value || value->isNumber())
    return {};
  if (value->isString())
    return {value->string()};
  std::vector<std::string> paths;
  for (const Json &path : value->array())
    paths.push_back(path.string());
  return paths;
}

static uint32_t streamOf(const std::string &name) { return namedStream(name.data(), name.size()); }

Rows::Options::Options(const SourceSpec &spec, uint32_t seed)
    : batch(spec.options.at("batch").integer(1, INT32_MAX)), validation(splitFraction(spec.options, "validation")),
      test(splitFraction(spec.options, "test")), shuffle(spec.options.booleanOr("shuffle", true)), seed(seed),
      name(spec.name) {
  const Json *rows = spec.options.find("rows");
  whole = spec.options.find("whole");
  if (whole || !rows)
    return;
  if (rows->array().size() != 2)
    fail("data '%s': rows is (from, to)", name.c_str());
  from = rows->array()[0].integer(0, INT32_MAX);
  to = rows->array()[1].integer(from + 1, INT32_MAX);
}

int64_t addFiles(const SourceContext &context, Rows::Options &rows,
                 const std::function<int64_t(const std::string &path)> &add) {
  int64_t main = add(context.override.empty() ? context.spec->path : context.override);
  for (Split split : {Split::Validation, Split::Test})
    for (const std::string &path : splitPaths(context.spec->options, splitName(split)))
      (split == Split::Test ? rows.testRows : rows.validationRows) += add(path);
  return main;
}

Rows::Rows(int64_t mainRows, Options options)
    : options_(std::move(options)), stream_(streamOf("shuffle:" + options_.name)) {
  if (mainRows + options_.validationRows + options_.testRows > INT32_MAX)
    fail("data '%s' has more than 2,147,483,647 rows", options_.name.c_str());
  int64_t to = options_.to < 0 ? mainRows : options_.to, own = to - options_.from;
  if (to > mainRows)
    fail("data '%s': rows=(%lld, %lld) of a file that has %lld rows", options_.name.c_str(),
         static_cast<long long>(options_.from), static_cast<long long>(to), static_cast<long long>(mainRows));
  std::vector<int32_t> rows(static_cast<size_t>(own));
  std::iota(rows.begin(), rows.end(), static_cast<int32_t>(options_.from));
  auto share = [&](double fraction) { return static_cast<int64_t>(std::llround(fraction * static_cast<double>(own))); };
  int64_t validation = share(options_.validation), test = share(options_.test);
  if (validation + test >= own && own > 0)
    fail("data '%s': validation and test take all of its %lld rows", options_.name.c_str(),
         static_cast<long long>(own));
  if (validation + test > 0)
    shuffle(rows, 0, streamOf("split:" + options_.name), 0);
  auto end = rows.end();
  members_[2].assign(end - test, end);
  members_[1].assign(end - test - validation, end - test);
  members_[0].assign(rows.begin(), end - test - validation);
  for (int64_t i = 0; i < options_.validationRows; ++i)
    members_[1].push_back(static_cast<int32_t>(mainRows + i));
  for (int64_t i = 0; i < options_.testRows; ++i)
    members_[2].push_back(static_cast<int32_t>(mainRows + options_.validationRows + i));
  if (!options_.whole && members_[0].size() < static_cast<size_t>(options_.batch))
    fail("data '%s' has %zu rows to train on, fewer than a batch of %lld", options_.name.c_str(), members_[0].size(),
         static_cast<long long>(options_.batch));
}

int64_t Rows::batches(Split split) const {
  int64_t rows = count(split);
  return split == Split::Train ? rows / options_.batch : (rows + options_.batch - 1) / options_.batch;
}

std::span<const int32_t> Rows::batch(Split split, int64_t number) {
  int64_t perEpoch = batches(split), size = options_.batch;
  if (perEpoch == 0)
    fail("data '%s' has no %s rows; give the recipe's reader a %s=…", options_.name.c_str(), splitName(split),
         splitName(split));
  int64_t epoch = number / perEpoch, within = number % perEpoch;
  const std::vector<int32_t> *order = &members_[static_cast<size_t>(split)];
  if (split == Split::Train && options_.shuffle) {
    if (epoch_ != epoch) {
      order_ = members_[0];
      shuffle(order_, options_.seed, stream_, static_cast<uint32_t>(epoch));
      epoch_ = epoch;
    }
    order = &order_;
  }
  int64_t begin = within * size, end = std::min<int64_t>(begin + size, static_cast<int64_t>(order->size()));
  return {order->data() + begin, static_cast<size_t>(end - begin)};
}

} // namespace kiln
