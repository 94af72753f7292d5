#include "runtime/data/Evaluate.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>

namespace kiln {

Evaluator::Evaluator(Program &program, Sources &sources)
    : program_(program), call_(program.call("eval" + program.manifest().suffix)), feeder_(call_, sources) {
  const std::string pool = "eval.pool" + program.manifest().suffix;
  if (program.manifest().findEntry(pool)) {
    bindPool(program.call(pool));
    return;
  }
  const std::vector<ArgumentSpec> &arguments = call_.entry().arguments;
  for (size_t i = 0; i < arguments.size(); ++i)
    if (arguments[i].role == Role::Loss)
      parts_.push_back({static_cast<int>(i)});
  for (const Call::Metric &metric : call_.metrics())
    parts_.push_back({metric.argument});
}

void Evaluator::bindPool(Call &pool) {
  pool_ = &pool;
  const std::vector<ArgumentSpec> &arguments = call_.entry().arguments;
  auto find = [&](Role role, const std::string &name) {
    for (size_t i = 0; i < arguments.size(); ++i)
      if (arguments[i].role == role && arguments[i].name == name)
        return static_cast<int>(i);
    return -1;
  };
  for (int input : pool.inputs()) {
    const std::string &name = pool.entry().arguments[static_cast<size_t>(input)].name;
    Part part{find(Role::Part, name), find(Role::Weight, name), input};
    if (part.value < 0)
      fail("the program's manifest is damaged: 'eval' gives no part '%s'", name.c_str());
    parts_.push_back(part);
  }
}

Evaluation Evaluator::measure(Split split, uint32_t seed, int64_t most, const volatile bool *stop) {
  Evaluation result;
  int64_t batches = feeder_.batches(split);
  if (batches == 0)
    fail("there is no %s data; give the recipe's reader %s=…", splitName(split), splitName(split));
  if (most > 0)
    batches = std::min(batches, most);
  for (Part &part : parts_)
    part.sum = part.total = 0;
  program_.resetSession(Session::Evaluation, seed);
  for (int64_t i = 0; i < batches && !(stop && *stop); ++i) {
    feeder_.load(split, i);
    call_.narrowSessions();
    call_.run(seed, i);
    for (Part &part : parts_) {
      double weight = part.weight < 0 ? static_cast<double>(call_.examples()) : call_.number(part.weight);
      if (weight == 0) // nothing in the batch counts: its mean is no number
        continue;
      part.sum += weight * call_.number(part.value);
      part.total += weight;
    }
    result.examples += call_.examples();
    ++result.batches;
  }
  read(result);
  return result;
}

void Evaluator::read(Evaluation &result) {
  if (!pool_) {
    size_t next = call_.hasLoss() ? 1 : 0;
    result.loss = next ? parts_[0].sum / parts_[0].total : 0;
    for (const Call::Metric &metric : call_.metrics()) {
      result.metrics.emplace_back(metric.name, parts_[next].sum / parts_[next].total);
      ++next;
    }
    return;
  }
  for (const Part &part : parts_)
    storeNumber(pool_->entry().arguments[static_cast<size_t>(part.input)].type.dtype, pool_->data(part.input), 0,
                part.sum / part.total);
  pool_->run(0, 0);
  result.loss = pool_->loss();
  for (const Call::Metric &metric : pool_->metrics())
    result.metrics.emplace_back(metric.name, pool_->number(metric.argument));
}

} // namespace kiln
