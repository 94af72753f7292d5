// Families of models: which there are, and how a family's template becomes the text of one model.
//
// A template (families/*.kiln) is a Kiln text that stands for itself. What of it is a model's own is marked behind the
// constant: `# config` (config.json has to say it), `# default` (it may; `# default KEY`: by another name), `#
// optional` (it may, and null is None), `# weights NAME` (is there a tensor of that name, or one whose name ends so
// behind a dot?).
#pragma once

#include "frontend/huggingface/Settings.h"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::huggingface {

struct Family {
  const char *modelType;  ///< as config.json has it
  const char *file;       ///< the template
  const char *prefix;     ///< what names begin with in files of models that have the plain one as a part: "bert."
  const char *classes[2]; ///< how the template's models begin, and this type's: "Llama", "Qwen2"
  const char *ignored;    ///< a pattern of tensors that are computed, not weights; null: none
};

/// Throws Error, which lists the known ones.
const Family &familyOf(const std::string &modelType, const std::string &what);

/// The model of the template that is asked for, or (empty) that config.json's "architectures" names; without them the
/// plain one. As the type's own files call it. Throws Error, which lists those that there are.
std::string architectureOf(const Family &family, const Settings &settings, const std::string &asked = "");

/// Is the model the plain one, whose tensors have no prefix?
bool isPlain(const Family &family, const std::string &architecture);

/// The model's text: the template's blocks that it needs, with the settings' values.
std::string writeModel(const Family &family, const std::string &architecture, const Settings &settings,
                       const std::function<bool(std::string_view)> &hasTensor);

} // namespace kiln::huggingface
