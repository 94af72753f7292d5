#include "frontend/cli/Claims.h"

#include "backends/conformance/CaseAnswers.h"
#include "backends/sdk/Graph.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include <algorithm>
#include <map>
#include <set>

namespace kiln {

namespace {

/// An op as a backend has answered for it.
struct Claims {
  std::set<kiln_dtype> taken, refused; ///< in some form
  std::string reason;                  ///< the first refusal's
};

std::map<std::string, Claims> ask(const host::Backend &backend) {
  std::map<std::string, Claims> all;
  kiln_target target = {};
  target.size = sizeof target;
  conformance::CaseAnswers answers(backend, target);
  auto taken = [&](conformance::Case &made) { return answers.of(made).whole; };
  for (conformance::Case &made : conformance::allCases(/*full=*/false, /*seed=*/1, /*edges=*/true, taken)) {
    if (made.op.find(' ') != std::string::npos) // several ops in one kernel
      continue;
    Claims &claims = all[made.op];
    const auto &[answer, error, whole] = answers.of(made);
    if (whole) {
      claims.taken.insert(made.dtype);
      continue;
    }
    claims.refused.insert(made.dtype);
    if (claims.reason.empty())
      claims.reason = error.empty() ? answer.reason() : error;
  }
  return all;
}

} // namespace

std::vector<std::string> claimLines(const host::Backend &backend) {
  std::map<std::string, std::vector<std::string>> byDtypes, byReason;
  for (const auto &[op, claims] : ask(backend)) {
    if (claims.taken.empty()) {
      byReason[claims.reason].push_back(op);
      continue;
    }
    std::vector<std::string> names;
    for (kiln_dtype dtype : claims.taken)
      names.push_back(sdk::dtypeName(dtype));
    bool inPart = std::any_of(claims.taken.begin(), claims.taken.end(),
                              [&](kiln_dtype dtype) { return claims.refused.contains(dtype); });
    byDtypes[absl::StrJoin(names, " ")].push_back(op + (inPart ? "*" : ""));
  }
  std::vector<std::string> lines;
  for (const auto &[dtypes, ops] : byDtypes)
    lines.push_back(absl::StrCat("takes ", dtypes, ": ", absl::StrJoin(ops, " ")));
  for (const auto &[reason, ops] : byReason)
    lines.push_back(absl::StrCat("refuses ", absl::StrJoin(ops, " "), ": ", reason));
  return lines;
}

} // namespace kiln
