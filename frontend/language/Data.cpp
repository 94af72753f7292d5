// Data sources of a recipe: what fields each reader gives, and compile-time values as attributes.
#include "frontend/language/ReaderSettings.h"

namespace kiln::language {

bool isReader(std::string_view name) {
  const Builtin *builtin = findBuiltin(name, Space::Reader);
  return builtin && builtin->space == Space::Reader;
}

static std::string lower(std::string text) {
  for (char &c : text)
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

mlir::Attribute toAttribute(Elaborator &e, const Value &value, Range range) {
  mlir::Builder &b = e.builder();
  switch (value.kind) {
  case Value::Kind::None:
  case Value::Kind::Error:
    return {};
  case Value::Kind::Integer:
    if (std::optional<int64_t> constant = value.integer.constant())
      return b.getI64IntegerAttr(*constant);
    break;
  case Value::Kind::Float:
    return b.getF64FloatAttr(value.number);
  case Value::Kind::Boolean:
    return b.getBoolAttr(value.boolean);
  case Value::Kind::String:
    return b.getStringAttr(value.text);
  case Value::Kind::List: {
    if (value.names)
      break;
    std::vector<mlir::Attribute> items;
    for (const Value &item : *value.items)
      if (mlir::Attribute attribute = toAttribute(e, item, range))
        items.push_back(attribute);
    return b.getArrayAttr(items);
  }
  case Value::Kind::Record: {
    std::vector<mlir::NamedAttribute> fields = {b.getNamedAttr("kind", b.getStringAttr(lower(value.record->kind)))};
    for (const auto &[name, field] : value.record->fields)
      if (mlir::Attribute attribute = toAttribute(e, field, range))
        fields.push_back(b.getNamedAttr(name, attribute));
    return b.getDictionaryAttr(fields);
  }
  default:
    break;
  }
  e.error(range, "a recipe's setting is a number, a string, a list of those or a call; this is " + describe(value));
  return {};
}

static TypeInfo fieldType(Dtype dtype, std::vector<Dim> dims, Range range) {
  TypeInfo type;
  type.dtype = dtype;
  for (size_t i = 0; i < dims.size(); ++i)
    type.origins.push_back({range});
  type.dims = std::move(dims);
  type.range = range;
  return type;
}

/// `files`: of how many a split consists that has its own; 0: of any number.
static void splitSettings(ReaderSettings &settings, size_t files) {
  for (const char *name : {"validation", "test"}) {
    const Value &value = settings[name];
    bool fraction = value.isNumeral() && value.asDouble() && *value.asDouble() >= 0 && *value.asDouble() < 1;
    bool path = files == 0 && value.kind == Value::Kind::String;
    bool paths = value.isList() && (files == 0 ? !value.items->empty() : value.items->size() == files) &&
                 std::all_of(value.items->begin(), value.items->end(),
                             [](const Value &item) { return item.kind == Value::Kind::String; });
    if (!value.isNone() && !fraction && !path && !paths)
      settings.wrong(name, files == 0 ? "a fraction below 1, a path, or a list of paths,"
                                      : "a fraction below 1, or " + std::to_string(files) + " paths,");
  }
  settings.boolean("shuffle");
}

/// rows=(from, to): which of the file's it has.
static void rowSettings(ReaderSettings &settings) {
  const Value &value = settings["rows"];
  if (value.isNone())
    return;
  auto whole = [&](size_t i) { return (*value.items)[i].isNumeral() ? (*value.items)[i].asInteger() : std::nullopt; };
  bool pair = value.isList() && value.items->size() == 2 && whole(0) && whole(1);
  if (!pair || *whole(0) < 0 || *whole(1) <= *whole(0) || *whole(1) > INT32_MAX)
    settings.wrong("rows", "(from, to), the first of the file's rows and the one behind the last,");
}

/// How pictures are scaled, and made numbers.
static void pictureSettings(ReaderSettings &settings, int64_t channels) {
  settings.ofChannels("mean", channels);
  settings.ofChannels("std", channels);
  if (!settings["shortest"].isNone())
    settings.count("shortest", 1, 1 << 16);
  int64_t height = 0, width = 0;
  if (!settings["stretch"].isNone())
    settings.size(height, width, "stretch");
  if (height > 0 && !settings["shortest"].isNone())
    settings.wrong("stretch", "None, since `shortest` keeps a picture's proportions,");
  settings.oneOf("middle", {"even", "down"});
  settings.oneOf("resample", {"nearest", "bilinear", "bicubic", "lanczos"});
}

/// Images in IDX files, or, without labels, pictures in a folder for each class.
static void imageFields(ReaderSettings &settings, DataSource &source, const Dim &batch) {
  bool folder = settings["labels"].isNone();
  settings.string("path");
  if (!folder)
    settings.string("labels");
  int64_t height = 28, width = 28, channels = folder ? 3 : 1;
  if (!settings["channels"].isNone())
    channels = settings.count("channels", 1, folder ? 3 : 64);
  if (folder && channels == 2)
    settings.wrong("channels", "1 or 3");
  settings.size(height, width);
  pictureSettings(settings, folder ? channels : 1);
  settings.classes();
  rowSettings(settings);
  for (const char *option : {"shortest", "stretch", "classes"})
    if (!folder && !settings[option].isNone())
      settings.wrong(option, "None, since the images are in a file of one size with a file of labels,");
  if (folder)
    source.reader = "folder";
  source.fields.emplace_back("image", fieldType(Dtype::f32, {batch, channels, height, width}, source.range));
  source.fields.emplace_back("label", fieldType(Dtype::i32, {batch}, source.range));
}

/// Pictures with boxes around what they show.
static void boxFields(ReaderSettings &settings, DataSource &source, const Dim &batch) {
  settings.string("path");
  if (!settings["pictures"].isNone())
    settings.string("pictures");
  int64_t height = 28, width = 28, channels = settings.count("channels", 1, 3);
  if (channels == 2)
    settings.wrong("channels", "1 or 3");
  Dim objects = settings.count("objects", 1, 1 << 20);
  settings.size(height, width);
  settings.ofChannels("mean", channels);
  settings.ofChannels("std", channels);
  settings.oneOf("resample", {"nearest", "bilinear", "bicubic", "lanczos"});
  settings.classes();
  rowSettings(settings);
  source.fields.emplace_back("image", fieldType(Dtype::f32, {batch, channels, height, width}, source.range));
  source.fields.emplace_back("boxes", fieldType(Dtype::f32, {batch, objects, 4}, source.range));
  source.fields.emplace_back("label", fieldType(Dtype::i32, {batch, objects}, source.range));
  source.fields.emplace_back("mask", fieldType(Dtype::boolean, {batch, objects}, source.range));
}

/// The fields that the recipe writes out, behind the reader's own settings: their names and types.
static std::vector<std::pair<std::string, TypeInfo>> writtenFields(ReaderSettings &settings, DataSource &source,
                                                                   size_t own) {
  std::vector<std::pair<std::string, TypeInfo>> fields;
  for (size_t i = own; i < settings.record.fields.size(); ++i) {
    const auto &[field, type] = settings.record.fields[i];
    if (type.kind != Value::Kind::Type && type.kind != Value::Kind::Dtype) {
      settings.wrong(field, "a type such as f32[12, 64]");
      continue;
    }
    TypeInfo info = type.kind == Value::Kind::Type ? *type.type : TypeInfo{type.dtype, {}, {}, source.range};
    if (isClass(info.dtype))
      settings.wrong(field, "a type such as f32[12, 64]");
    fields.emplace_back(field, info);
  }
  return fields;
}

static void needFields(ReaderSettings &settings, DataSource &source, const char *wanted) {
  if (!source.fields.empty() || !settings.ok)
    return;
  settings.ok = false;
  settings.e.error(source.range, wanted);
}

/// A file of batches: the fields are what the recipe says they are.
static void batchFields(ReaderSettings &settings, DataSource &source) {
  settings.string("path");
  source.fields = writtenFields(settings, source, 1);
  needFields(settings, source,
             "safetensors wants the tensors that it holds: safetensors(\"x.safetensors\", ids=i32[12, 64])");
}

/// Rows of arrays: a field's type is that of a row.
static void arrayFields(ReaderSettings &settings, DataSource &source, const Dim &batch) {
  settings.string("path");
  rowSettings(settings);
  for (auto &[name, type] : writtenFields(settings, source, 6)) {
    std::vector<Dim> dims = {batch};
    dims.insert(dims.end(), type.dims.begin(), type.dims.end());
    if (!std::all_of(dims.begin(), dims.end(), [](const Dim &dim) { return dim.constant().has_value(); }))
      settings.wrong(name, "a row's type, of fixed extents, as f32[3, 32],");
    source.fields.emplace_back(name, fieldType(type.dtype, dims, source.range));
  }
  needFields(settings, source,
             "arrays wants the arrays that it holds, and what a row of each is: "
             "arrays(\"x.npz\", batch=32, x=f32[3, 32], y=i32)");
}

static void textFields(ReaderSettings &settings, DataSource &source, const Dim &batch) {
  settings.string("path");
  Dim context = settings.count("context");
  for (const char *field : {"ids", "next"})
    source.fields.emplace_back(field, fieldType(Dtype::i32, {batch, context}, source.range));
  settings.tokens();
}

/// A class, numbers, or both.
static void targetFields(ReaderSettings &settings, DataSource &source, const Dim &batch, bool single) {
  if (const Value &label = settings["label"]; !label.isNone()) {
    if (!ReaderSettings::isColumn(label))
      settings.wrong("label", "one column's number or name");
    source.fields.emplace_back("label", fieldType(Dtype::i32, {batch}, source.range));
  }
  settings.classes();
  settings.boolean("normalise_target");
  const Value &target = settings["target"];
  if (target.isNone() && settings["normalise_target"].boolean)
    settings.wrong("normalise_target", "False where there is no target,");
  if (target.isNone())
    return;
  // Of a table, a number is a column; of a csv, how many.
  int64_t columns = single && ReaderSettings::isColumn(target) ? 1 : settings.columns("target");
  source.fields.emplace_back("target", fieldType(Dtype::f32, {batch, columns}, source.range));
}

static void csvFields(ReaderSettings &settings, DataSource &source, const Dim &batch) {
  settings.string("path");
  settings.count("skip", 0);
  settings.boolean("header");
  settings.boolean("normalise");
  settings.separator();
  settings.missing({"mean"});
  int64_t categories = settings.categories();
  if (categories == 0 || !settings["features"].isNone())
    source.fields.emplace_back("features", fieldType(Dtype::f32, {batch, settings.columns("features")}, source.range));
  if (categories > 0)
    source.fields.emplace_back("categories", fieldType(Dtype::i32, {batch, categories}, source.range));
  targetFields(settings, source, batch, false);
}

/// The columns of `text` or `pair`: how many texts they make, 0 for one that is not listed.
static int64_t textColumns(ReaderSettings &settings, std::string_view name) {
  const Value &value = settings[name];
  bool list = value.isList() && !value.items->empty() &&
              std::all_of(value.items->begin(), value.items->end(), ReaderSettings::isColumn);
  if (!list && !ReaderSettings::isColumn(value) && !(name == "pair" && value.isNone()))
    settings.wrong(name, "a column's number or name, a text with columns in braces, or a list of those");
  return list ? static_cast<int64_t>(value.items->size()) : 0;
}

/// The fields of sequences of tokens, each [lead…, T].
static void sequenceFields(ReaderSettings &settings, DataSource &source, std::vector<Dim> lead,
                           const std::string &prefix) {
  int64_t longest = settings.count("max_length");
  settings.oneOf("padding", {"longest", "max_length"});
  bool whole = settings["padding"].kind == Value::Kind::String && settings["padding"].text == "max_length";
  Dim length = whole ? Dim(longest) : Dim::symbol(prefix + "T");
  if (!whole)
    source.bounds = {{prefix + "T", longest}};
  source.fields.emplace_back("lengths", fieldType(Dtype::i32, lead, source.range));
  lead.push_back(length);
  for (const char *field : {"ids", "types", "next"})
    source.fields.emplace_back(field, fieldType(Dtype::i32, lead, source.range));
  source.fields.emplace_back("mask", fieldType(Dtype::boolean, lead, source.range));
  settings.tokens();
  settings.count("min_count");
  if (!settings["special_tokens"].isNone())
    settings.boolean("special_tokens");
  settings.count("bucket");
}

static void tableFields(ReaderSettings &settings, DataSource &source, const Dim &batch, const std::string &prefix) {
  settings.string("path");
  settings.count("skip", 0);
  if (!settings["header"].isNone())
    settings.boolean("header");
  settings.boolean("quotes");
  if (!settings["separator"].isNone())
    settings.separator();
  int64_t texts = textColumns(settings, "text"), pairs = textColumns(settings, "pair");
  if (std::min(texts, pairs) > 1 && texts != pairs)
    settings.wrong("pair", "a list of as many columns as text has, " + std::to_string(texts) + ",");
  std::vector<Dim> lead = {batch};
  if (std::max(texts, pairs) > 0)
    lead.push_back(std::max(texts, pairs));
  sequenceFields(settings, source, lead, prefix);
  targetFields(settings, source, batch, true);
}

/// Words with a tag each.
static void conllFields(ReaderSettings &settings, DataSource &source, const Dim &batch, const std::string &prefix) {
  settings.string("path");
  settings.count("word", -(1 << 20));
  settings.count("tag", -(1 << 20));
  settings.classes();
  sequenceFields(settings, source, {batch}, prefix);
  source.fields.emplace_back("tags", source.fields.back().second);
  source.fields.back().second.dtype = Dtype::i32;
}

/// Questions and paragraphs.
static void squadFields(ReaderSettings &settings, DataSource &source, const Dim &batch, const std::string &prefix) {
  settings.string("path");
  settings.count("stride", 0);
  sequenceFields(settings, source, {batch}, prefix);
  for (const char *field : {"start", "end"})
    source.fields.emplace_back(field, fieldType(Dtype::i32, {batch}, source.range));
}

static double number(ReaderSettings &settings, std::string_view name) {
  return settings[name].isNumeral() ? settings[name].asDouble().value_or(0) : 0;
}

/// Text with words hidden.
static void maskedFields(ReaderSettings &settings, DataSource &source, const Dim &batch, const std::string &prefix) {
  settings.string("path");
  if (double share = number(settings, "share"); !(share > 0 && share <= 1))
    settings.wrong("share", "a number above 0, up to 1,");
  settings.boolean("next_sentence");
  const Value &ending = settings["sentence_end"];
  if (!ending.isNone() && (ending.kind != Value::Kind::String || ending.text.empty()))
    settings.wrong("sentence_end", "a text, as \" . \",");
  sequenceFields(settings, source, {batch}, prefix);
  source.fields.emplace_back("labels", source.fields.back().second);
  source.fields.back().second.dtype = Dtype::i32;
  if (settings["next_sentence"].kind == Value::Kind::Boolean && settings["next_sentence"].boolean)
    source.fields.emplace_back("next_sentence", fieldType(Dtype::i32, {batch}, source.range));
}

/// Text with pieces cut out: what is read is T long, what is written S.
static void corruptedFields(ReaderSettings &settings, DataSource &source, const Dim &batch, const std::string &prefix) {
  settings.string("path");
  if (double share = number(settings, "share"); !(share > 0 && share < 1))
    settings.wrong("share", "a number between 0 and 1");
  if (double span = number(settings, "span"); !(span >= 1 && span <= 1 << 20))
    settings.wrong("span", "a number of at least 1");
  int64_t longest = settings.count("max_length", 3);
  settings.oneOf("padding", {"longest", "max_length"});
  bool whole = settings["padding"].kind == Value::Kind::String && settings["padding"].text == "max_length";
  Dim length = whole ? Dim(longest) : Dim::symbol(prefix + "T"), written = Dim::symbol(prefix + "S");
  source.bounds = {{prefix + "S", longest}};
  if (!whole)
    source.bounds[prefix + "T"] = longest;
  source.fields.emplace_back("lengths", fieldType(Dtype::i32, {batch}, source.range));
  source.fields.emplace_back("ids", fieldType(Dtype::i32, {batch, length}, source.range));
  source.fields.emplace_back("mask", fieldType(Dtype::boolean, {batch, length}, source.range));
  for (const char *field : {"target", "answer"})
    source.fields.emplace_back(field, fieldType(Dtype::i32, {batch, written}, source.range));
  settings.tokens();
  settings.count("min_count");
}

/// Words and their neighbours.
static void skipgramFields(ReaderSettings &settings, DataSource &source, const Dim &batch) {
  settings.string("path");
  int64_t window = settings.count("window", 1, 1 << 20);
  Dim negative = settings.count("negative", 1, 1 << 20);
  settings.boolean("cbow");
  settings.tokens();
  settings.count("min_count");
  bool cbow = settings["cbow"].kind == Value::Kind::Boolean && settings["cbow"].boolean;
  std::vector<Dim> context = {batch};
  if (cbow)
    context.push_back(2 * window);
  source.fields.emplace_back("center", fieldType(Dtype::i32, {batch}, source.range));
  source.fields.emplace_back("context", fieldType(Dtype::i32, context, source.range));
  source.fields.emplace_back("negatives", fieldType(Dtype::i32, {batch, negative}, source.range));
}

/// Windows over rows in their order.
static void seriesFields(ReaderSettings &settings, DataSource &source, const Dim &batch) {
  settings.string("path");
  settings.count("skip", 0);
  settings.count("stride");
  if (!settings["header"].isNone())
    settings.boolean("header");
  settings.boolean("quotes");
  settings.boolean("normalise");
  settings.missing({"mean", "last"});
  if (!settings["separator"].isNone())
    settings.separator();
  if (!settings["group"].isNone() && !ReaderSettings::isColumn(settings["group"]))
    settings.wrong("group", "one column's number or name");
  Dim columns = 1;
  if (const Value &list = settings["columns"]; list.isList() && !list.items->empty())
    columns = settings.columns("columns");
  else if (!ReaderSettings::isColumn(list))
    settings.wrong("columns", "one column's number or name, or a list of those,");
  Dim context = settings.count("context"), horizon = settings.count("horizon");
  source.fields.emplace_back("past", fieldType(Dtype::f32, {batch, context, columns}, source.range));
  source.fields.emplace_back("future", fieldType(Dtype::f32, {batch, horizon, columns}, source.range));
}

static void pairFields(ReaderSettings &settings, DataSource &source, const Dim &batch, const std::string &prefix) {
  settings.string("source");
  settings.string("target");
  settings.count("source_words");
  settings.count("target_words");
  settings.count("bucket");
  int64_t longest = settings.count("max_length", 2);
  Dim s = Dim::symbol(prefix + "S"), t = Dim::symbol(prefix + "T");
  source.bounds = {{prefix + "S", longest}, {prefix + "T", longest}};
  source.fields.emplace_back("source", fieldType(Dtype::i32, {batch, s}, source.range));
  source.fields.emplace_back("target", fieldType(Dtype::i32, {batch, t}, source.range));
  source.fields.emplace_back("next", fieldType(Dtype::i32, {batch, t}, source.range));
}

std::optional<DataSource> dataSource(Elaborator &e, const std::string &name, const Value &value, Range range,
                                     const std::string &prefix) {
  DataSource source;
  source.name = name;
  source.record = value.record;
  source.range = range;
  ReaderSettings settings{e, *value.record};
  const std::string &kind = value.record->kind;
  if (kind == "safetensors") {
    batchFields(settings, source);
    return settings.ok ? std::optional(std::move(source)) : std::nullopt;
  }
  Dim batch = settings.count("batch");
  source.fixedBatch = true;
  bool twoFiles = kind == "pairs" || (kind == "images" && !settings["labels"].isNone());
  splitSettings(settings, twoFiles ? 2 : 0);
  if (kind == "text") {
    textFields(settings, source, batch);
  } else if (kind == "csv") {
    rowSettings(settings);
    csvFields(settings, source, batch);
  } else if (kind == "table") {
    tableFields(settings, source, batch, prefix);
  } else if (kind == "conll") {
    conllFields(settings, source, batch, prefix);
  } else if (kind == "squad") {
    squadFields(settings, source, batch, prefix);
  } else if (kind == "masked") {
    maskedFields(settings, source, batch, prefix);
  } else if (kind == "corrupted") {
    corruptedFields(settings, source, batch, prefix);
  } else if (kind == "skipgram") {
    skipgramFields(settings, source, batch);
  } else if (kind == "arrays") {
    arrayFields(settings, source, batch);
  } else if (kind == "series") {
    seriesFields(settings, source, batch);
  } else if (kind == "boxes") {
    boxFields(settings, source, batch);
  } else if (kind == "images") {
    imageFields(settings, source, batch);
  } else {
    pairFields(settings, source, batch, prefix);
  }
  return settings.ok ? std::optional(std::move(source)) : std::nullopt;
}

mlir::Attribute pictureAttribute(Elaborator &e, const Value &dict) {
  mlir::Builder &b = e.builder();
  Record record{"picture", {}, {}, dict.origin, nullptr, nullptr};
  auto put = [&](const std::string &name, Value value) {
    record.fields.emplace_back(name, std::move(value));
    record.ranges.push_back(dict.origin);
  };
  for (size_t i = 0; i < dict.names->size(); ++i)
    put((*dict.names)[i], (*dict.items)[i]);
  std::vector<mlir::NamedAttribute> given;
  for (const auto &[name, value] : record.fields)
    if (mlir::Attribute attribute = toAttribute(e, value, dict.origin))
      given.push_back(b.getNamedAttr(name, attribute));
  static const std::vector<std::string> known = {"size",   "channels", "shortest", "stretch",
                                                 "middle", "resample", "mean",     "std"};
  for (const std::string &name : *dict.names)
    if (!llvm::is_contained(known, name)) {
      std::string near = nearest(name, known);
      e.error(dict.origin,
              "picture has no '" + name + "'; it has size, channels, shortest, stretch, middle, resample, mean and std")
          .withHelp(near.empty() ? "" : "did you mean '" + near + "'?");
      return {};
    }
  for (auto [name, value] : {std::pair("channels", Value::integerOf(3)),
                             {"middle", Value::stringOf("even")},
                             {"resample", Value::stringOf("bilinear")},
                             {"mean", Value::floatOf(0.0)},
                             {"std", Value::floatOf(1.0)}})
    if (!llvm::is_contained(*dict.names, name))
      put(name, value);
  ReaderSettings settings{e, record};
  int64_t height = 0, width = 0, channels = settings.count("channels", 1, 3);
  if (channels == 2)
    settings.wrong("channels", "1 or 3");
  settings.size(height, width);
  pictureSettings(settings, channels);
  return settings.ok ? b.getDictionaryAttr(given) : mlir::Attribute();
}

mlir::Attribute dataAttribute(Elaborator &e, const DataSource &source) {
  mlir::Builder &b = e.builder();
  std::vector<mlir::NamedAttribute> out, options;
  for (size_t i = 0; i < source.record->fields.size(); ++i) {
    const auto &[name, value] = source.record->fields[i];
    if (value.kind == Value::Kind::Type || value.kind == Value::Kind::Dtype)
      continue;
    mlir::Attribute attribute = toAttribute(e, value, source.record->ranges[i]);
    if (!attribute)
      continue;
    if (name == "path")
      out.push_back(b.getNamedAttr("path", attribute));
    else
      options.push_back(b.getNamedAttr(name, attribute));
  }
  std::vector<mlir::Attribute> fields;
  for (const auto &[name, type] : source.fields)
    fields.push_back(b.getDictionaryAttr(
        {b.getNamedAttr("name", b.getStringAttr(name)), b.getNamedAttr("type", mlir::TypeAttr::get(typeOf(e, type)))}));
  out.push_back(b.getNamedAttr("name", b.getStringAttr(source.name)));
  out.push_back(b.getNamedAttr("reader", b.getStringAttr(source.reader.empty() ? source.record->kind : source.reader)));
  out.push_back(b.getNamedAttr("options", b.getDictionaryAttr(options)));
  out.push_back(b.getNamedAttr("fields", b.getArrayAttr(fields)));
  return b.getDictionaryAttr(out);
}

} // namespace kiln::language
