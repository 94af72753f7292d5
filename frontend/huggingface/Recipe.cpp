// What a model of Hugging Face is trained on, by the end of its class's name.
#include "frontend/huggingface/Recipe.h"

#include "runtime/support/Json.h"

#include <algorithm>
#include <cstdlib>
#include <vector>

namespace kiln::huggingface {

namespace {

/// An argument of forward: "ids", and its dimensions as they stand there.
struct Argument {
  std::string name, dtype, dims;
};

/// What stands between two marks, from `at` on.
std::string between(const std::string &text, const std::string &begin, const std::string &end, size_t at = 0) {
  size_t from = text.find(begin, at);
  if (from == std::string::npos)
    return "";
  from += begin.size();
  return text.substr(from, text.find(end, from) - from);
}

/// forward's arguments, which the text of a family writes in one line.
std::vector<Argument> argumentsOf(const Imported &imported) {
  size_t model = imported.text.find("\nmodel " + imported.model + "(");
  std::string line = between(imported.text, "def forward(", ")", model == std::string::npos ? 0 : model);
  std::vector<Argument> out;
  for (size_t at = 0; at < line.size();) {
    size_t colon = line.find(": ", at), open = line.find('[', at), close = line.find(']', at);
    if (colon == std::string::npos || open == std::string::npos || close == std::string::npos)
      break;
    out.push_back({line.substr(at, colon - at), line.substr(colon + 2, open - colon - 2),
                   line.substr(open + 1, close - open - 1)});
    at = std::min(line.size(), close + 3);
  }
  return out;
}

/// How long a text may be: the bound of T, or of S.
std::string longestOf(const std::vector<Argument> &arguments, const char *dim) {
  for (const Argument &argument : arguments)
    if (size_t at = argument.dims.find(std::string(dim) + " <= "); at != std::string::npos)
      return argument.dims.substr(at + 5, argument.dims.find(',', at) - at - 5);
  return "128";
}

/// What a dimension is at most, by its name: "C <= choices" of one argument says what C is in all of them.
std::string boundOf(const std::vector<Argument> &arguments, const std::string &dim) {
  std::string bound = dim.substr(0, dim.find(" <= ")) + " <= ";
  for (const Argument &argument : arguments)
    if (size_t at = argument.dims.find(bound); at != std::string::npos) {
      at += bound.size();
      return argument.dims.substr(at, argument.dims.find(',', at) - at);
    }
  return dim;
}

/// A field of numbers from a file, in the place of one that a reader makes.
std::string fixedField(const Argument &argument, const std::vector<Argument> &arguments, const std::string &batch,
                       const std::string &length) {
  std::string dims;
  for (size_t at = 0; at < argument.dims.size();) {
    size_t end = std::min(argument.dims.find(", ", at), argument.dims.size());
    std::string dim = argument.dims.substr(at, end - at);
    bool isBatch = dims.empty(), isLength = dim.starts_with("T") || dim.starts_with("S");
    dims += (dims.empty() ? "" : ", ") + (isBatch ? batch : isLength ? length : boundOf(arguments, dim));
    at = end + 2;
  }
  return ", " + argument.name + "=" + argument.dtype + "[" + dims + "]";
}

/// What a class of models is trained on: the reader of texts, the field that is the answer and its dimensions.
struct Task {
  const char *ending, *reader, *answer, *dims;
};

const Task tasks[] = {
    {"ForCausalLM", "text(\"data.txt\"", "next", "BT"},
    {"LMHeadModel", "text(\"data.txt\"", "next", "BT"},
    {"ForMaskedLM", "masked(\"data.txt\"", "labels", "BT"},
    {"ForNextSentencePrediction", "table(\"data.tsv\", text=0, pair=1, label=2", "label", "B"},
    {"ForMultipleChoice", "", "label", "B"},
    {"ForSequenceClassification", "table(\"data.tsv\", text=0, label=1", "label", "B"},
    {"ForTokenClassification", "conll(\"data.conll\"", "tags", "BT"},
    {"ForQuestionAnswering", "squad(\"data.json\"", "start", "B"},
    {"ForImageClassification", "", "label", "B"},
    {"ForImageClassificationWithTeacher", "", "label", "B"},
    {"ForAudioClassification", "", "label", "B"},
    {"ForCTC", "", "text", "B"},
    {"MTModel", "", "answer", "BS"},
    {"ForConditionalGeneration", "corrupted(\"data.txt\"", "answer", "BS"},
};

const Task *taskOf(const std::string &model) {
  for (const Task &task : tasks)
    if (model.ends_with(task.ending))
      return &task;
  return nullptr;
}

bool isCtc(const Task *task) { return task && std::string_view(task->ending) == "ForCTC"; }

/// How many rows the model's functions take at most, as its text has it: model NAME(batch=16, …).
int64_t mostRows(const Imported &imported) {
  std::string number = between(imported.text, "\nmodel " + imported.model + "(batch=", ",");
  return std::max(std::atoll(number.c_str()), 1LL);
}

/// Texts with a number each, in place of a label: what a model has learned whose one "class" is that number.
const Task regression = {"", "table(\"data.tsv\", text=0, target=1", "target", "B"};

bool isRegression(const Imported &imported, const Task *task) {
  if (!task || std::string_view(task->ending) != "ForSequenceClassification" || *task->reader == 0)
    return false;
  size_t at = imported.text.find("\nnum_labels "), value = imported.text.find("= ", at);
  return at != std::string::npos && imported.text.compare(value, 4, "= 1\n") == 0;
}

/// A folder of pictures, one in it for each class, read as the text's `picture` says; empty where it says nothing, or
/// the model takes something else.
std::string picturesText(const std::string &text, const Task *task, const std::vector<Argument> &arguments,
                         const std::string &batch) {
  std::string settings = between(text, "\npicture = dict(", ")\n");
  bool classifies = task && std::string_view(task->ending).starts_with("ForImageClassification");
  if (settings.empty() || !classifies || arguments.size() != 1 || arguments[0].name != "image")
    return "";
  return "images(\"pictures\", batch=" + batch + ", validation=0.1, " + settings + ")";
}

/// The data of a recipe, one expression.
std::string dataText(const std::string &text, const Task *task, const std::vector<Argument> &arguments,
                     const std::string &tokenizer, const std::string &batch) {
  if (std::string pictures = picturesText(text, task, arguments, batch); !pictures.empty())
    return pictures;
  bool reads = std::any_of(arguments.begin(), arguments.end(), [](const Argument &a) { return a.name == "ids"; });
  std::string length = "min(" + longestOf(arguments, reads ? "T" : "S") + ", 128)";
  bool isText = task && *task->reader && !tokenizer.empty() && reads;
  if (isText && std::string_view(task->reader).starts_with("text("))
    return std::string(task->reader) + ", context=" + length + ", batch=" + batch + ", tokens=" + jsonQuote(tokenizer) +
           ")";
  if (isText)
    return std::string(task->reader) + ", batch=" + batch + ", max_length=" + length +
           ", tokens=" + jsonQuote(tokenizer) + ")";
  std::string out = "safetensors(\"data.safetensors\"";
  for (const Argument &argument : arguments)
    out += fixedField(argument, arguments, batch, length);
  // (a model that hears has no reader of its own: its features are made beforehand)
  std::string more = task && std::string_view(task->dims) != "B" ? ", " + length : "";
  bool two = task && std::string_view(task->answer) == "start";
  if (isCtc(task)) // letters, fewer than there are rows for them, and how many
    return out + ", text=i32[" + batch + ", 64], length=i32[" + batch + "])    # each with an axis in front: the step";
  if (task == &regression)
    return out + ", target=f32[" + batch + ", 1])    # each with an axis in front: the step";
  out += !task ? "" : std::string(", ") + task->answer + "=i32[" + batch + more + "]";
  return out + (two ? ", end=i32[" + batch + "]" : "") + ")    # each with an axis in front: the step";
}

} // namespace

/// `, KEY=[…]`, where there are any.
static std::string listText(const char *key, const std::vector<std::string> &rules) {
  std::string list;
  for (const std::string &rule : rules)
    list += (list.empty() ? "" : ", ") + jsonQuote(rule);
  return list.empty() ? "" : std::string(", ") + key + "=[" + list + "]";
}

std::string loadText(const Imported &imported, const std::string &path, bool partial) {
  std::string out = "load(" + jsonQuote(path);
  if (!imported.prefix.empty())
    out += ", prefix=" + jsonQuote(imported.prefix);
  out += partial ? ", partial=True" : "";
  if (!imported.strip.empty())
    out += ", strip=" + jsonQuote(imported.strip);
  out += listText("ignore", imported.ignored) + listText("rename", imported.renames);
  return out.find(", ") == std::string::npos ? jsonQuote(path) : out + ")";
}

Recipe recipeOf(const Imported &imported, const std::string &weights, const std::string &tokenizer, bool adapted) {
  Recipe out;
  std::vector<Argument> arguments = argumentsOf(imported);
  const Task *task = taskOf(imported.model);
  if (isRegression(imported, task))
    task = &regression;
  bool single = mostRows(imported) == 1;
  std::string batch = std::to_string(single ? 4 : std::min<int64_t>(mostRows(imported), 8)), call;
  for (const Argument &argument : arguments)
    call += (call.empty() ? "data." : ", data.") + argument.name;
  call = "forward(" + call + ")";
  out.text = "\ntrain " + imported.model + (single ? "(batch=4)" : "") +
             ":\n    data      = " + dataText(imported.text, task, arguments, tokenizer, batch) + "\n";
  if (!task) {
    out.lossIsOpen = true;
    out.text += "    loss      = name_a_loss(" + call + ")\n";
  } else if (std::string_view(task->answer) == "start") {
    out.text += "    first, last = " + call +
                "\n    loss      = 0.5 * (cross_entropy(first, data.start) + cross_entropy(last, data.end))\n";
  } else if (task == &regression) {
    out.text += "    loss      = mse(" + call + ", data.target)\n";
  } else if (isCtc(task)) {
    out.text += "    scores    = log_softmax(" + call + ")\n    loss      = ctc(scores, data.text, full(" + batch +
                ", scores.shape[1], dtype=i32), data.length, blank=pad_token_id)\n";
  } else {
    out.text += "    loss      = cross_entropy(" + call + ", data." + task->answer + ")\n";
  }
  out.text += adapted ? "    frozen    = \"!*.lora_*\"\n    optimizer = AdamW(lr=2e-4)\n"
                      : "    optimizer = AdamW(lr=2e-5, weight_decay=0.01)\n";
  out.text += "    clip      = 1.0\n    weights   = " + weights + "\n    steps     = 1000\n";
  return out;
}

} // namespace kiln::huggingface
