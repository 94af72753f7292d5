// Modules in the place of repeated statements: what differs between instances is their parameters, what goes from one
// to the next is carried, everything else that they read is the same for all.
#include "frontend/onnx/Folder.h"

#include <algorithm>

namespace kiln::onnx {

//===-- What is alike --------------------------------------------------------------------------------------------===//

/// The names of an instance beside those of the first one. False where one stands for two.
bool Folder::compareInstance(size_t instance, std::map<std::string, std::string> &matched) {
  const std::vector<size_t> &first = candidate_.instances[0], &lines = candidate_.instances[instance];
  for (size_t j = 0; j < lines.size(); ++j) {
    const Words &mine = words_[lines[j]], &model = words_[first[j]];
    if (mine.names.size() != model.names.size())
      return false;
    for (size_t i = 0; i < mine.names.size(); ++i)
      if (auto [found, isNew] = matched.try_emplace(model.names[i], mine.names[i]);
          !isNew && found->second != mine.names[i])
        return false;
  }
  return true;
}

bool Folder::compare() {
  size_t count = candidate_.instances.size();
  std::vector<std::map<std::string, std::string>> matched(count);
  for (size_t k = 0; k < count; ++k)
    if (!compareInstance(k, matched[k]))
      return false;
  pattern_.results.resize(count);
  std::set<std::string> results;
  for (size_t j = 0; j < candidate_.instances[0].size(); ++j) {
    const Words &line = words_[candidate_.instances[0][j]];
    for (size_t i = 0; i < line.names.size(); ++i) {
      const std::string &name = line.names[i];
      bool isResult = i < line.results && !declared_.contains(name);
      if (isResult && results.insert(name).second)
        for (size_t k = 0; k < count; ++k)
          pattern_.results[k].push_back(matched[k].at(name));
      if (results.contains(name) || pattern_.operands.contains(name))
        continue;
      Pattern::Operand &operand = pattern_.operands[name];
      operand.line = candidate_.instances[0][j];
      for (size_t k = 0; k < count; ++k)
        operand.names.push_back(matched[k].at(name));
      pattern_.order.push_back(name);
    }
  }
  return classify();
}

size_t Folder::resultNumber(size_t instance, const std::string &name) const {
  const std::vector<std::string> &all = pattern_.results[instance];
  auto found = std::find(all.begin(), all.end(), name);
  return found == all.end() ? SIZE_MAX : static_cast<size_t>(found - all.begin());
}

bool Folder::classify() {
  std::set<std::string> parameters;
  for (const std::string &name : pattern_.order) {
    Pattern::Operand &operand = pattern_.operands.at(name);
    auto isFirst = [&](const std::string &other) { return other == name; };
    operand.isShared = std::all_of(operand.names.begin(), operand.names.end(), isFirst);
    operand.isParameter = declared_.contains(name) && !operand.isShared;
    if (operand.isParameter) {
      for (const std::string &other : operand.names)
        if (!declared_.contains(other) || !parameters.insert(other).second)
          return false;
      continue;
    }
    for (const std::string &other : operand.names)
      if (!operand.isShared && declared_.contains(other))
        return false;
    size_t carried = operand.isShared ? SIZE_MAX : resultNumber(0, operand.names[1]);
    for (size_t k = 2; k < operand.names.size(); ++k)
      carried = resultNumber(k - 1, operand.names[k]) == carried ? carried : SIZE_MAX;
    operand.carried = carried;
    pattern_.isLoop &= operand.isShared || carried != SIZE_MAX;
  }
  // A state that is set and the same for all would change from one to the next.
  for (size_t line : candidate_.instances[0])
    for (size_t i = 0; i < words_[line].results; ++i)
      if (auto found = pattern_.operands.find(words_[line].names[i]); found != pattern_.operands.end())
        if (!found->second.isParameter)
          return false;
  readOutside();
  if (parameters.empty() && candidate_.isByScope())
    return false;
  // Weights that only these read: theirs.
  if (parameters.empty())
    for (auto &[name, operand] : pattern_.operands)
      if (declared_.contains(name) && !outside_.contains(name))
        pattern_.isOne = operand.isParameter = true;
  return true;
}

/// What of the instances is read by others than the next one.
void Folder::readOutside() {
  std::vector<size_t> owner(words_.size(), SIZE_MAX);
  for (size_t k = 0; k < candidate_.instances.size(); ++k)
    for (size_t line : candidate_.instances[k])
      owner[line] = k;
  std::set<size_t> returned;
  size_t last = candidate_.instances.size() - 1;
  std::map<std::string, std::pair<size_t, size_t>> made; // instance and number
  for (size_t k = 0; k <= last; ++k)
    for (size_t i = 0; i < pattern_.results[k].size(); ++i)
      made[pattern_.results[k][i]] = {k, i};
  auto read = [&](const std::string &name, size_t reader) {
    if (reader == SIZE_MAX)
      outside_.insert(name);
    auto found = made.find(name);
    if (found == made.end() || found->second.first == reader)
      return;
    returned.insert(found->second.second);
    pattern_.isLoop &= found->second.first == last || reader != SIZE_MAX;
  };
  for (size_t line = 0; line < words_.size(); ++line)
    for (size_t i = words_[line].results; i < words_[line].names.size(); ++i)
      read(words_[line].names[i], owner[line]);
  eachName(program_.result, [&](const std::string &name, size_t) { read(name, SIZE_MAX); });
  pattern_.returned.assign(returned.begin(), returned.end());
}

/// Lines that are written before and after, about: statements that are used once stand where they are used.
bool Folder::pays() const {
  size_t count = candidate_.instances.size(), parameters = 0, others = 0;
  for (const auto &[name, operand] : pattern_.operands)
    (operand.isParameter ? parameters : others)++;
  size_t lines = (candidate_.instances[0].size() + 1) / 2;
  size_t before = pattern_.isOne ? count * lines + parameters : count * (lines + parameters);
  size_t after = lines + parameters + 6 + (pattern_.isLoop ? 2 : count);
  bool isBlock = candidate_.instances[0].size() >= 4;
  size_t gain = candidate_.isByScope() ? 0 : 4; // what is a module of the file's reads well as one
  return isBlock && (count >= 3 || lines >= 12) && before >= after + gain && others <= 12 &&
         pattern_.returned.size() <= 8 && !pattern_.returned.empty();
}

//===-- What the model has in their place ------------------------------------------------------------------------===//

static std::string listed(const std::vector<std::string> &names) {
  std::string out;
  for (const std::string &name : names)
    out += (out.empty() ? "" : ", ") + name;
  return out;
}

/// `for layer in encoder.layer: x = layer(x, mask)`; what is carried has one name before, in and behind the loop.
void Folder::writeLoop(std::vector<Line> &out) {
  size_t last = candidate_.instances.size() - 1;
  std::map<std::string, std::string> names; // of the operands, in the loop
  std::vector<std::string> results(pattern_.returned.size());
  for (const std::string &name : carried_) {
    size_t number = pattern_.operands.at(name).carried;
    std::string ours = name;
    // What nothing else reads is called so where it is made; what an earlier loop carried goes on.
    bool isOwn = !outside_.contains(name);
    auto made = std::find_if(out.begin(), out.end(), [&](const Line &line) {
      return isOwn && !line.fixed && line.names.size() == 1 && line.names[0] == name;
    });
    if (!isOwn || !around_.aliases.contains(name)) {
      ours = freshIn(around_.names, "x");
      if (made == out.end()) {
        out.push_back({{ours}, name, 0, true, true});
      } else {
        made->names[0] = ours;
        made->fixed = made->takes = true;
      }
      around_.aliases[ours] = around_.aliases.contains(name) ? around_.aliases[name] : name;
    }
    names[name] = ours;
    auto at = std::find(pattern_.returned.begin(), pattern_.returned.end(), number) - pattern_.returned.begin();
    results[static_cast<size_t>(at)] = ours;
    after_[pattern_.results[last][number]] = ours;
  }
  for (size_t i = 0; i < results.size(); ++i)
    if (results[i].empty())
      results[i] = pattern_.results[last][pattern_.returned[i]];
  std::vector<std::string> arguments;
  for (const std::string &name : arguments_)
    arguments.push_back(names.contains(name) ? names[name] : name);
  arguments.insert(arguments.end(), lengths_.begin(), lengths_.end());
  std::string called, header;
  if (pattern_.isOne) {
    called = accessText(paths_[0]);
    header = "for _ in range(" + std::to_string(last + 1) + "):";
  } else {
    called = program_.modules[program_.instances.back().module].name;
    std::transform(called.begin(), called.end(), called.begin(), [](unsigned char c) { return std::tolower(c); });
    called = freshIn(around_.names, around_.names.contains(called) ? "block" : called);
    std::vector<std::string> list(paths_[0].begin(), paths_[0].end() - 1);
    header = "for " + called + " in " + accessText(list) + "[" + paths_[0].back() + ":" +
             std::to_string(std::stoll(paths_[last].back()) + 1) + "]:";
  }
  std::vector<std::string> nodes = {program_.lines[candidate_.instances[0][0]].nodes.front(),
                                    program_.lines[candidate_.instances[last].back()].nodes.back()};
  out.push_back({{}, header, 0, true});
  out.push_back({results, called + "(" + listed(arguments) + ")", 1, true, false, nodes});
}

/// `y = encoder.layer[3](x, mask)`
void Folder::writeCalls(std::vector<Line> &out, size_t instance) {
  std::vector<std::string> results, arguments;
  for (size_t number : pattern_.returned)
    results.push_back(pattern_.results[instance][number]);
  for (const std::string &name : arguments_)
    arguments.push_back(pattern_.operands.at(name).names[instance]);
  arguments.insert(arguments.end(), lengths_.begin(), lengths_.end());
  const std::vector<size_t> &lines = candidate_.instances[instance];
  std::vector<std::string> nodes = {program_.lines[lines.front()].nodes.front(),
                                    program_.lines[lines.back()].nodes.back()};
  out.push_back({results, accessText(paths_[pattern_.isOne ? 0 : instance]) + "(" + listed(arguments) + ")", 0, true,
                 false, nodes});
}

void Folder::replaceLines() {
  std::map<size_t, size_t> owner;
  for (size_t k = 0; k < candidate_.instances.size(); ++k)
    for (size_t line : candidate_.instances[k])
      owner[line] = k;
  std::set<size_t> hoisted(candidate_.hoisted.begin(), candidate_.hoisted.end());
  // What others read of the instances' parameters.
  std::map<std::string, std::string> reached;
  for (const auto &[name, operand] : pattern_.operands)
    for (size_t k = 0; operand.isParameter && k < paths_.size(); ++k)
      reached[operand.names[k]] = accessText(paths_[k]) + "." + local_.at(name);
  std::vector<Line> out;
  bool begun = false;
  for (size_t at = 0; at < program_.lines.size(); ++at) {
    auto found = owner.find(at);
    if (found == owner.end()) {
      if (hoisted.contains(at))
        continue;
      Line line = std::move(program_.lines[at]);
      line.expression =
          renamed(renamed(line.expression, reached), begun ? after_ : std::map<std::string, std::string>());
      out.push_back(std::move(line));
      continue;
    }
    bool isFirst = at == candidate_.instances[found->second][0];
    if (isFirst && found->second == 0)
      for (size_t line : candidate_.hoisted) {
        out.push_back(program_.lines[line]);
        out.back().expression = renamed(out.back().expression, reached);
      }
    if (isFirst && pattern_.isLoop && found->second == 0)
      writeLoop(out);
    if (isFirst && !pattern_.isLoop)
      writeCalls(out, found->second);
    begun = true;
  }
  program_.lines = std::move(out);
  program_.result = renamed(renamed(program_.result, reached), after_);
  std::set<size_t> gone;
  for (const Declared &member : parameters_)
    gone.insert(member.weights.begin(), member.weights.end());
  std::erase_if(program_.parameters, [&](const Declared &one) { return gone.contains(one.weights[0]); });
}

bool Folder::fold(bool asNamed) {
  if (!compare() || !findWidths() || !pays())
    return false;
  pattern_.isLoop &= !candidate_.isByScope();
  // Two carried values that are one result have two names in the first instance alone.
  std::set<size_t> carried;
  if (pattern_.isLoop)
    for (const auto &[name, operand] : pattern_.operands)
      if (operand.carried != SIZE_MAX && !carried.insert(operand.carried).second)
        return false;
  findPaths();
  if (candidate_.isByScope() && paths_ != candidate_.paths)
    return false;
  if ((asNamed || candidate_.isByScope()) && ((!isOneList_ && !candidate_.isByScope()) || losesNames()))
    return false;
  if (losesNames() && candidate_.instances.size() < 3)
    return false;
  around_.names.insert(paths_[0][0]);
  writeModule();
  replaceLines();
  return true;
}

void foldRepeats(Program &program, const Surroundings &around, std::vector<TensorView> &weights) {
  constexpr int kMostModules = 32;
  for (int i = 0; i < kMostModules; ++i) {
    std::vector<Words> words = wordsOf(program, around);
    std::map<std::string, const Declared *> declared;
    for (const Declared &one : program.parameters)
      declared.emplace(one.name, &one);
    bool folded = false;
    const std::vector<Candidate> candidates = candidatesOf(program, words);
    for (bool asNamed : {true, false})
      for (const Candidate &candidate : candidates)
        folded = folded || Folder(program, around, words, candidate, declared, weights).fold(asNamed);
    if (!folded)
      break;
  }
  joinCalls(program, around);
}

} // namespace kiln::onnx
