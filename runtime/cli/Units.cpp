// `run --units DATA.FIELD`: results in the units that a field had before it was normalised.
#include "runtime/cli/Commands.h"
#include "runtime/data/Coding.h"
#include "runtime/support/Error.h"

#include <cstring>

namespace kiln {

/// How the weights say that DATA.FIELD was normalised. Throws Error where they do not, or where the recipe's reader of
/// that name takes the field as it is (its means may stand there for what is missing alone).
static Normalisation unitsOf(const std::string &name, const Manifest &manifest, const Codings &codings) {
  size_t dot = name.rfind('.');
  const SourceSpec *source = dot == std::string::npos ? nullptr : manifest.findSource(name.substr(0, dot));
  std::string key = ownCoding(normalisationPrefix + name, manifest.stage); // the recipe's whose rows --input takes
  if (!codings.contains(key))
    key = normalisationPrefix + name;
  bool known = codings.contains(key);
  if (source && known && !source->normalises(name.substr(dot + 1)))
    fail("--units %s: the recipe takes that field as it is, in the file's units; it would be normalised by %s=True",
         name.c_str(), source->normalisedBy(name.substr(dot + 1)));
  if (known)
    return normalisationIn(codings.at(key), "the weights' " + key);
  std::string names;
  for (const auto &[other, text] : codings)
    if (other.starts_with(normalisationPrefix))
      names += (names.empty() ? "" : ", ") + other.substr(std::strlen(normalisationPrefix));
  fail("--units %s: the weights do not say how that field was normalised; they say it of: %s", name.c_str(),
       names.empty() ? "none" : names.c_str());
}

extern "C" void kiln_result_units(const Options &options, const Common &common, const Manifest &manifest,
                                  std::vector<TensorView> &results, std::vector<std::vector<float>> &kept) {
  std::string name = options.text("units");
  Normalisation normalisation = unitsOf(name, manifest, weightCodings(options, common, manifest));
  bool any = false;
  for (TensorView &view : results) {
    if (view.dtype != KILN_F32 || view.shape.empty() ||
        view.shape.back() != static_cast<int64_t>(normalisation.means.size()))
      continue;
    any = true;
    const float *values = reinterpret_cast<const float *>(view.data);
    std::vector<float> &own = kept.emplace_back(values, values + view.bytes / sizeof(float));
    normalisation.undo(own);
    view.data = reinterpret_cast<uint8_t *>(own.data());
  }
  if (!any)
    fail("--units %s: no result is f32[…, %zu], as that field's columns are", name.c_str(), normalisation.means.size());
}

} // namespace kiln
