// Calls of neighbours in a list, one behind the other, as a loop over it.
#include "frontend/onnx/Repeats.h"

#include <algorithm>

namespace kiln::onnx {

namespace {
/// `y = layer1[2](x, mask)`
struct Call {
  std::string list; ///< "layer1"
  size_t place = 0;
  std::vector<std::string> arguments;
  std::string result;
};

bool isName(const std::string &text) {
  bool is = !text.empty();
  for (char c : text)
    is &= std::isalnum(static_cast<unsigned char>(c)) || c == '_';
  return is;
}

std::optional<Call> callOf(const Line &line) {
  const std::string &text = line.expression;
  size_t end = text.find("]("), begin = end == std::string::npos ? end : text.rfind('[', end);
  if (line.depth != 0 || !line.fixed || line.names.size() != 1 || begin == std::string::npos || !text.ends_with(')'))
    return std::nullopt;
  std::string place = text.substr(begin + 1, end - begin - 1), inside = text.substr(end + 2, text.size() - end - 3);
  if (place.empty() || place.size() > 4 || place.find_first_not_of("0123456789") != std::string::npos)
    return std::nullopt;
  Call out{text.substr(0, begin), std::stoull(place), {}, line.names[0]};
  for (size_t at = 0; at < inside.size();) {
    size_t comma = std::min(inside.find(", ", at), inside.size());
    out.arguments.push_back(inside.substr(at, comma - at));
    if (!isName(out.arguments.back()))
      return std::nullopt;
    at = comma + 2;
  }
  return out;
}

/// Is `next` the same call of the list's next element, with the result of this one in the place of `carried`?
bool follows(const Call &call, const Call &next, size_t carried) {
  if (next.list != call.list || next.place != call.place + 1 || next.arguments.size() != call.arguments.size())
    return false;
  for (size_t i = 0; i < call.arguments.size(); ++i)
    if (next.arguments[i] != (i == carried ? call.result : call.arguments[i]))
      return false;
  return true;
}

/// Writes the loops.
class Joiner {
public:
  Joiner(Program &program, const Surroundings &around)
      : program_(program), around_(around), uses_(countUses(program.lines, program.result)) {}

  void run();

private:
  size_t lengthFrom(size_t begin, size_t &carried) const;
  void write(size_t begin, size_t length, size_t carried);
  int usesOf(const std::string &name) const {
    auto found = uses_.find(name);
    return found == uses_.end() ? 0 : found->second;
  }

  Program &program_;
  const Surroundings &around_;
  std::map<std::string, int> uses_;
  std::vector<Line> out_;
  std::map<std::string, std::string> names_; // that have changed
  std::set<std::string> ours_;               // that loops carry
};

/// How many calls from this line on are one loop; `carried`: which argument goes from one to the next.
size_t Joiner::lengthFrom(size_t begin, size_t &carried) const {
  std::optional<Call> call = callOf(program_.lines[begin]);
  if (!call)
    return 1;
  for (carried = 0; carried < call->arguments.size(); ++carried) {
    Call last = *call;
    size_t length = 1;
    for (; begin + length < program_.lines.size() && usesOf(last.result) == 1; ++length) {
      std::optional<Call> next = callOf(program_.lines[begin + length]);
      if (!next || !follows(last, *next, carried))
        break;
      last = *next;
    }
    if (length > 1)
      return length;
  }
  return 1;
}

void Joiner::write(size_t begin, size_t length, size_t carried) {
  Call first = *callOf(program_.lines[begin]), last = *callOf(program_.lines[begin + length - 1]);
  std::vector<std::string> arguments = first.arguments;
  for (std::string &name : arguments)
    name = renamed(name, names_);
  std::string ours = arguments[carried];
  // What nothing else reads is called so where it is made; what an earlier loop carried goes on.
  if (usesOf(first.arguments[carried]) != 1 || !ours_.contains(ours)) {
    std::string incoming = ours;
    bool isOwn = usesOf(first.arguments[carried]) == 1 && !out_.empty() && !out_.back().fixed &&
                 out_.back().depth == 0 && out_.back().names == std::vector<std::string>{incoming};
    ours = freshIn(around_.names, "x");
    if (isOwn) {
      out_.back().names[0] = ours;
      out_.back().fixed = out_.back().takes = true;
    } else {
      out_.push_back({{ours}, incoming, 0, true, true});
    }
    ours_.insert(ours);
  }
  arguments[carried] = ours;
  std::string block = freshIn(around_.names, "block"), list;
  for (const std::string &name : arguments)
    list += (list.empty() ? "" : ", ") + name;
  around_.names.erase(block);
  std::vector<std::string> nodes = {program_.lines[begin].nodes.front(),
                                    program_.lines[begin + length - 1].nodes.back()};
  out_.push_back({{},
                  "for " + block + " in " + first.list + "[" + std::to_string(first.place) + ":" +
                      std::to_string(last.place + 1) + "]:",
                  0,
                  true});
  out_.push_back({{ours}, block + "(" + list + ")", 1, true, false, nodes});
  names_[last.result] = ours;
}

void Joiner::run() {
  for (size_t at = 0; at < program_.lines.size();) {
    size_t carried = 0, length = lengthFrom(at, carried);
    if (length > 1) {
      write(at, length, carried);
    } else {
      Line line = std::move(program_.lines[at]);
      line.expression = renamed(line.expression, names_);
      out_.push_back(std::move(line));
    }
    at += length;
  }
  program_.lines = std::move(out_);
  program_.result = renamed(program_.result, names_);
}
} // namespace

void joinCalls(Program &program, const Surroundings &around) { Joiner(program, around).run(); }

} // namespace kiln::onnx
