// Loops, and how often an invocation's come round in all.
//
// A loop's head is printed last, when its text and what stands within are known: until then a mark stands for it. Where
// an invocation would make more passes than the caller wants, its innermost loops run in strips: of so many indices
// that one pass does, written out by the language's compiler. Short loops within them are written out whole.
#include "Emitter.h"
#include <algorithm>
#include <limits>

namespace kiln::sdk {

namespace {
constexpr int64_t longestStrip = 256, // passes in one
    mostCopies = 1024,                // of what is within, in the text that the compiler writes out
    shortLoop = 64,                   // may be written out whole
    unknown = std::numeric_limits<int32_t>::max();
constexpr char mark = '\x01', markEnd = '\x02', length = '\x03'; // of a strip

int64_t times(int64_t a, int64_t b) {
  int64_t result;
  return __builtin_mul_overflow(a, b, &result) ? std::numeric_limits<int64_t>::max() / 4 : result;
}
int64_t plus(int64_t a, int64_t b) { return std::min(a + b, std::numeric_limits<int64_t>::max() / 4); }
} // namespace

int Emitter::openScope(Loop loop) {
  loop.parent = scopes.back().loop;
  int number = static_cast<int>(loops.size());
  loops.push_back(std::move(loop));
  open(mark + std::to_string(number) + markEnd);
  return scopes.back().loop = number;
}

Expr Emitter::loop(const Expr &begin, const Expr &end, const Expr &step, int64_t most) {
  return loopNamed(fresh("i"), begin, end, step, most);
}

Expr Emitter::loopNamed(const std::string &i, const Expr &begin, const Expr &end, const Expr &step, int64_t most,
                        const std::string &hint) {
  Loop loop;
  int64_t by = std::max<int64_t>(step.constant.value_or(1), 1);
  loop.most = most >= 0 ? most : end.most >= 0 ? (end.most + by - 1) / by : unknown;
  if (most < 0 && end.constant && begin.constant)
    loop.most = std::max<int64_t>((*end.constant - *begin.constant + by - 1) / by, 0);
  std::string type = indexType(), u = i + "u", first = i + "f"; // names that nobody else gives
  loop.plain = hint + "for (" + type + " " + i + " = " + begin.text + "; " + i + " < " + end.text + "; " + i +
               (step.text == "1" ? "++" : " += " + step.text) + ")";
  const std::string strip(1, length), byU = step.text == "1" ? u : u + " * " + step.text;
  if (*language().strip) {
    auto within = [&](const std::string &declared, const std::string &count, const std::string &from) {
      return language().unroll +
             ("for (" + type + " " + u + " = 0" + declared + "; " + u + " < " + count + "; ++" + u) + ") if ((" + i +
             " = " + from + " + " + byU + ") < " + end.text + ")";
    };
    loop.strips = "for (" + type + " " + first + " = " + begin.text + ", " + i + "; " + first + " < " + end.text +
                  "; " + first + " += " + (step.text == "1" ? "" : step.text + " * ") + strip + ")\n" +
                  within("", strip, first);
    if (loop.most <= shortLoop && hint.empty())
      loop.whole = within(", " + i, std::to_string(std::max<int64_t>(loop.most, 1)), "(" + begin.text + ")");
  }
  openScope(std::move(loop));
  Expr index = name(i);
  index.most = end.most;
  return index;
}

void Emitter::openLoop(const std::string &head, int64_t most, const std::string &condition) {
  Loop loop;
  loop.most = most;
  loop.plain = head;
  const std::string strip(1, length), u = fresh("u");
  if (*language().strip && !condition.empty())
    loop.strips = head + "\n" + language().unroll + "for (" + indexType() + " " + u + " = 0; " + u + " < " + strip +
                  "; ++" + u + ") if (" + condition + ")";
  openScope(std::move(loop));
}

/// Of the whole text with strips so long (1: none); notes for each loop how it is then printed.
int64_t Emitter::countPasses(int64_t strip) {
  std::vector<int64_t> within(loops.size(), 0), copies(loops.size(), 1); // of what stands in each loop
  int64_t all = 0;
  for (size_t i = loops.size(); i-- > 0;) {
    Loop &loop = loops[i];
    bool isInner = within[i] == 0 && strip > 1;
    int64_t own = 1, together = isInner ? std::min(strip, mostCopies / copies[i]) : 1, passes;
    auto print = Loop::Plain;
    if (together > 1 && !loop.whole.empty() && loop.most <= together) {
      print = Loop::Whole, passes = 0, own = std::max<int64_t>(loop.most, 1);
    } else {
      if (together > 1 && !loop.strips.empty())
        print = Loop::Strips;
      else
        together = 1;
      passes = plus((loop.most + together - 1) / together + 1, times(loop.most, within[i]));
    }
    loop.print = print, loop.together = together;
    if (loop.parent >= 0) {
      auto parent = static_cast<size_t>(loop.parent);
      within[parent] = plus(within[parent], passes);
      copies[parent] = std::max(copies[parent], times(own, copies[i]));
    } else {
      all = plus(all, passes);
    }
  }
  return all;
}

void Emitter::printHeads(std::string &text) {
  taken = {};
  taken.plain = taken.stripped = countPasses(1);
  bool strips = options.mostPasses > 0 && *language().strip && taken.plain > options.mostPasses;
  for (taken.strip = strips ? 2 : 1; strips; taken.strip *= 2) {
    taken.stripped = countPasses(taken.strip);
    if (taken.stripped <= options.mostPasses || taken.strip == longestStrip)
      break;
  }
  const std::string name = language().strip;
  std::string result;
  size_t at = 0;
  for (size_t found; (found = text.find(mark, at)) != std::string::npos;) {
    size_t end = text.find(markEnd, found);
    const Loop &loop = loops[static_cast<size_t>(std::stoi(text.substr(found + 1, end - found - 1)))];
    result.append(text, at, found - at);
    for (char c : loop.print == Loop::Strips ? loop.strips : loop.print == Loop::Whole ? loop.whole : loop.plain)
      if (c != length)
        result += c;
      else if (loop.together == taken.strip)
        result += name;
      else // there is not room for all
        result += "(" + name + " < " + std::to_string(loop.together) + " ? " + name + " : " +
                  std::to_string(loop.together) + ")";
    at = end + 1;
  }
  text = result.append(text, at);
  loops.clear();
}

} // namespace kiln::sdk
