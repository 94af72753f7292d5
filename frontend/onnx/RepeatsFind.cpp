// Where statements repeat: runs in which each says the same as the one a period later, and the ways to cut them.
#include "frontend/onnx/Repeats.h"

#include "frontend/language/Draft.h"

#include <algorithm>
#include <cctype>
#include <tuple>
#include <utility>

namespace kiln::onnx {

namespace {
/// Makes the Words of lines.
class Reader {
public:
  Reader(const Program &program, const Surroundings &around)
      : around_(around), known_(language::Draft::knownNames()), dims_(around.dims.begin(), around.dims.end()) {
    for (const Declared &declared : program.parameters)
      declared_[declared.name] = &declared;
    for (const Line &line : program.lines)
      for (const std::string &name : line.names)
        ++definitions_[name];
  }

  Words read(const Line &line) {
    Words out;
    bool fits = line.depth == 0 && !line.fixed && !line.names.empty();
    std::string form;
    for (const std::string &name : line.names) {
      fits &= definitions_[name] == 1 || declared_.contains(name);
      form += name == "_" ? "_" : noun(name, fits);
      if (name != "_")
        out.names.push_back(name);
    }
    out.results = out.names.size();
    size_t done = 0;
    eachName(line.expression, [&](const std::string &name, size_t begin) {
      if (isWordOfTheLanguage(name))
        return;
      form += line.expression.substr(done, begin - done) + noun(name, fits);
      done = begin + name.size();
      out.names.push_back(name);
    });
    form += line.expression.substr(done);
    auto number = [&](const std::string &text) {
      return fits ? forms_.try_emplace(text, static_cast<int64_t>(forms_.size())).first->second : -1;
    };
    out.form = number(form);
    out.shape = number(withNumbers(form, std::vector<std::string>(wholeNumbers(form).size(), "#")));
    return out;
  }

private:
  bool isWordOfTheLanguage(const std::string &name) const {
    return std::isdigit(static_cast<unsigned char>(name[0])) || known_.contains(name) || dims_.contains(name);
  }

  /// What a name is in a form: its type. What has none (a number that a loop counts) makes the line like no other.
  const std::string &noun(const std::string &name, bool &fits) {
    auto [found, isNew] = nouns_.try_emplace(name);
    if (isNew) {
      std::optional<language::Draft::Type> type = around_.typeOf(name);
      if (auto declared = declared_.find(name); declared != declared_.end())
        found->second = "<" + declared->second->type + ">";
      else if (type)
        found->second = "<" + typeText(*dtypeFromName(type->dtype), type->dims) + ">";
    }
    fits &= !found->second.empty();
    return found->second;
  }

  const Surroundings &around_;
  std::set<std::string> known_, dims_;
  std::map<std::string, const Declared *> declared_;
  std::map<std::string, int> definitions_;
  std::map<std::string, std::string> nouns_;
  std::map<std::string, int64_t> forms_;
};

/// Forms that are equal a period later, `length` of them from `begin` on.
struct Run {
  size_t begin, period, length;
  size_t saved() const { return length / period * period; }
};

constexpr size_t kMostPeriods = 24, kMostCuts = 12;

/// Cuts runs into instances.
class Cutter {
public:
  Cutter(const Program &program, const std::vector<Words> &words) : program_(program), words_(words) {
    for (size_t at = 0; at < words.size(); ++at)
      for (size_t i = 0; i < words[at].names.size(); ++i) {
        if (i < words[at].results)
          definition_[words[at].names[i]] = at;
        last_[words[at].names[i]] = at;
      }
    for (const Declared &declared : program.parameters)
      if (declared.stored.find('.') != std::string::npos && !isExporters(declared.stored))
        stored_[declared.name] = declared.stored;
    for (size_t at = 0; at < words.size(); ++at)
      scopes_.push_back(partsOf(scopeOf(at)));
    eachName(program.result, [&](const std::string &name, size_t) { last_[name] = words.size(); });
  }

  std::vector<Run> runs() const;
  const std::vector<std::vector<std::string>> &scopes() const { return scopes_; }
  void cuts(const Run &run, std::vector<Candidate> &out) const;

private:
  bool same(size_t a, size_t b) const { return words_[a].form >= 0 && words_[a].form == words_[b].form; }
  using Differences = std::set<std::pair<std::string, std::string>>;
  std::string scopeOf(size_t line) const;
  Differences between(const std::vector<size_t> &first, const std::vector<size_t> &second) const;
  std::vector<Candidate> byList(const Candidate &whole) const;
  size_t cutWidth(size_t begin, size_t end) const;
  Candidate cut(const Run &run, size_t begin) const;

  const Program &program_;
  const std::vector<Words> &words_;
  std::map<std::string, size_t> definition_, last_;
  std::map<std::string, std::string> stored_;    // parameters whose names are paths
  std::vector<std::vector<std::string>> scopes_; // of each line, its parts
};
} // namespace

std::vector<Words> wordsOf(const Program &program, const Surroundings &around) {
  Reader reader(program, around);
  std::vector<Words> out;
  for (const Line &line : program.lines)
    out.push_back(reader.read(line));
  return out;
}

/// Periods are distances between one form and its next: a block has one that stands in it once.
std::vector<Run> Cutter::runs() const {
  std::map<int64_t, size_t> before;
  std::map<size_t, size_t> distances;
  for (size_t at = 0; at < words_.size(); ++at) {
    if (words_[at].form < 0)
      continue;
    auto [found, isNew] = before.try_emplace(words_[at].form, at);
    if (!isNew)
      ++distances[at - std::exchange(found->second, at)];
  }
  std::vector<std::pair<size_t, size_t>> periods; // how often, which
  for (auto [distance, count] : distances)
    periods.emplace_back(count * distance, distance);
  std::sort(periods.rbegin(), periods.rend());
  periods.resize(std::min(periods.size(), kMostPeriods));
  std::vector<Run> out;
  for (auto [weight, period] : periods)
    for (size_t at = 0; at + period < words_.size(); ++at) {
      size_t begin = at;
      while (at + period < words_.size() && same(at, at + period))
        ++at;
      if (at - begin >= period)
        out.push_back({begin, period, at - begin});
    }
  std::sort(out.begin(), out.end(), [](const Run &a, const Run &b) {
    return std::tuple(b.saved(), a.period, a.begin) < std::tuple(a.saved(), b.period, b.begin);
  });
  return out;
}

/// The module that a line is of, by its node or else by a parameter that it reads.
std::string Cutter::scopeOf(size_t line) const {
  if (const std::string &scope = program_.lines[line].scope; !scope.empty())
    return scope;
  for (const std::string &name : words_[line].names)
    if (auto stored = stored_.find(name); stored != stored_.end())
      return stored->second;
  return "";
}

/// Where the modules of two instances differ, in how many ways: one, ("0", "1"), where the cut is at a module's ends.
Cutter::Differences Cutter::between(const std::vector<size_t> &first, const std::vector<size_t> &second) const {
  Differences out;
  for (size_t j = 0; j < first.size(); ++j) {
    const std::vector<std::string> &a = scopes_[first[j]], &b = scopes_[second[j]];
    size_t same = 0;
    while (same < std::min(a.size(), b.size()) && a[same] == b[same])
      ++same;
    if (same < std::min(a.size(), b.size()))
      out.emplace(a[same], b[same]);
    else if (a.size() != b.size() || !a.empty())
      out.emplace("", "");
  }
  return out;
}

/// Parts of a candidate that are of one list each: "encoder.0" to "encoder.5", and "decoder.0" to "decoder.5".
std::vector<Candidate> Cutter::byList(const Candidate &whole) const {
  std::vector<Candidate> out(1);
  out[0].hoisted = whole.hoisted;
  for (size_t k = 0; k < whole.instances.size(); ++k) {
    bool isSame = true;
    if (k > 0)
      for (const auto &[a, b] : between(whole.instances[k - 1], whole.instances[k]))
        isSame &= (a + b).find_first_not_of("0123456789") == std::string::npos;
    if (!isSame)
      out.emplace_back();
    out.back().instances.push_back(whole.instances[k]);
  }
  std::erase_if(out, [](const Candidate &part) { return part.instances.size() < 2; });
  return out;
}

/// How many values of these lines are used behind them.
size_t Cutter::cutWidth(size_t begin, size_t end) const {
  size_t out = 0;
  for (size_t at = begin; at < end; ++at)
    for (size_t i = 0; i < words_[at].results; ++i)
      out += last_.at(words_[at].names[i]) >= end;
  return out;
}

/// The run cut from `begin` on, and one instance in front of it where that has all the lines and some more between:
/// what only the first one computes, for all.
Candidate Cutter::cut(const Run &run, size_t begin) const {
  Candidate out;
  for (size_t at = begin; at + run.period <= run.begin + run.length + run.period; at += run.period) {
    out.instances.emplace_back();
    for (size_t j = 0; j < run.period; ++j)
      out.instances.back().push_back(at + j);
  }
  std::vector<size_t> lines, between;
  size_t at = begin;
  while (lines.size() < run.period && at > 0 && between.size() <= run.period / 2 + 4) {
    --at;
    if (same(at, begin + run.period - 1 - lines.size()))
      lines.push_back(at);
    else if (words_[at].form >= 0 && !lines.empty())
      between.push_back(at);
    else
      return out;
  }
  if (lines.size() < run.period)
    return out;
  std::reverse(lines.begin(), lines.end());
  std::reverse(between.begin(), between.end());
  // What goes in front may need nothing of the instance.
  std::set<size_t> moved(between.begin(), between.end());
  for (size_t line : between)
    for (size_t i = 0; i < words_[line].names.size(); ++i) {
      auto made = definition_.find(words_[line].names[i]);
      if (made != definition_.end() && made->second >= lines.front() && !moved.contains(made->second))
        return out;
    }
  out.instances.insert(out.instances.begin(), lines);
  out.hoisted = between;
  return out;
}

void Cutter::cuts(const Run &run, std::vector<Candidate> &out) const {
  struct Ranked {
    std::tuple<size_t, size_t, size_t, size_t> rank; // the less, the better
    Candidate candidate;
  };
  std::vector<Ranked> all;
  for (size_t offset = 0; offset < run.period; ++offset) {
    size_t begin = run.begin + offset;
    if (begin + 2 * run.period > run.begin + run.length + run.period)
      break;
    Candidate candidate = cut(run, begin);
    size_t count = candidate.instances.size(), width = cutWidth(begin, begin + run.period);
    size_t scopes = between(candidate.instances[count - 2], candidate.instances[count - 1]).size();
    all.push_back({{std::max<size_t>(scopes, 1), words_.size() - count, width, offset}, std::move(candidate)});
  }
  std::sort(all.begin(), all.end(), [](const Ranked &a, const Ranked &b) { return a.rank < b.rank; });
  all.resize(std::min(all.size(), kMostCuts));
  for (Ranked &one : all) {
    for (Candidate &part : byList(one.candidate))
      out.push_back(std::move(part));
    out.push_back(std::move(one.candidate));
  }
}

std::vector<Candidate> candidatesOf(const Program &program, const std::vector<Words> &words) {
  Cutter cutter(program, words);
  std::vector<Candidate> out = scopesAlike(words, cutter.scopes(), /*elements=*/true);
  std::vector<Run> runs = cutter.runs();
  for (size_t i = 0; i < runs.size() && i < kMostPeriods; ++i)
    cutter.cuts(runs[i], out);
  for (Candidate &other : scopesAlike(words, cutter.scopes(), /*elements=*/false))
    out.push_back(std::move(other));
  return out;
}

} // namespace kiln::onnx
