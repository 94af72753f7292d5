// The catalogue's dynamic kernels again, with constants among their extents.
//
// A backend knows such an extent when it compiles: a dimension of 1 may go, lanes that run along it have one place in
// memory, a whole number of vectors needs no mask. Kernels whose extents are all told at the launch show none of that.
#include "backends/conformance/Case.h"

#include <algorithm>
#include <iterator>

namespace kiln::conformance {

namespace {

using Constants = std::vector<std::optional<int64_t>>;

/// The case with these constants: launched where its extents are the same. False where none are.
bool specialise(const Case &from, const Constants &constants, const std::string &what, Case &made) {
  made = from;
  made.variant += ", extents " + what;
  made.launches.clear();
  for (const Launch &launch : from.launches) {
    Launch left = launch;
    left.extents.clear();
    bool same = true;
    for (size_t i = 0; i < constants.size(); ++i) {
      if (!constants[i])
        left.extents.push_back(launch.extents[i]);
      same &= !constants[i] || *constants[i] == launch.extents[i];
    }
    if (same)
      made.launches.push_back(std::move(left));
  }
  if (made.launches.empty())
    return false;
  made.kernel = from.kernel->with(constants);
  return true;
}

std::string textOf(const Constants &constants) {
  std::string text;
  for (const auto &constant : constants)
    text += (text.empty() ? "" : " x ") + (constant ? std::to_string(*constant) : std::string("?"));
  return text;
}

} // namespace

std::vector<Case> constantExtents(const std::vector<Case> &cases, bool full) {
  std::vector<Case> result;
  for (const Case &from : cases) {
    size_t count = from.kernel->bounds().size();
    if (count == 0)
      continue;
    // Elementwise kernels of one op are all made the same way: one each will do.
    bool simple = from.kernel->table("k").op_count == 1 && from.op != "gather" &&
                  from.kernel->table().shape == KILN_SHAPE_ELEMENTWISE;
    uint32_t draw = from.seed ^ (from.seed >> 15);
    std::vector<Constants> wanted;
    for (size_t slot = 0; slot < count; ++slot)
      if (full || (simple ? draw % 4 == 0 && slot == draw / 4 % count : count <= 3 || slot % 3 == draw % 3)) {
        wanted.emplace_back(count);
        wanted.back()[slot] = 1;
      }
    // All of them: a launch with something in it, if it can be.
    for (size_t i = 0; i < from.launches.size() && (full || !simple || draw % 4); ++i) {
      const Launch &launch = from.launches[(draw + i) % from.launches.size()];
      bool empty = std::find(launch.extents.begin(), launch.extents.end(), 0) != launch.extents.end();
      bool large = std::any_of(launch.extents.begin(), launch.extents.end(), [](int64_t n) { return n > 300; });
      if (empty || large || launch.inPlace)
        continue;
      wanted.emplace_back(launch.extents.begin(), launch.extents.end());
      break;
    }
    std::vector<std::string> known;
    for (const Constants &constants : wanted) {
      Case made;
      std::string what = textOf(constants);
      if (std::find(known.begin(), known.end(), what) == known.end() && specialise(from, constants, what, made))
        result.push_back(std::move(made));
      known.push_back(what);
    }
  }
  return result;
}

} // namespace kiln::conformance
