// The chat block of a generate block: the texts of a conversation's turns.
#include "frontend/language/Recipe.h"

#include "runtime/text/Turns.h"

namespace kiln::language {

mlir::Attribute chatOf(Elaborator &e, const Stmt &section, bool goesOn) {
  if (!goesOn) {
    e.error(section.range, "a chat is of a model that goes on with its prompt: whose prefill reads nothing else, and "
                           "gives logits");
    return {};
  }
  static const std::vector<std::string> known = {"first", "next", "system", "thoughts"};
  std::map<std::string, std::string> texts;
  Frame frame;
  frame.mode = Frame::Mode::Module;
  frame.self = e.model();
  size_t errorsBefore = e.diagnostics().size();
  for (const StmtPtr &statement : section.body) {
    bool isKey = statement->kind == StmtKind::Assign && statement->target->kind == ExprKind::Name;
    std::string name = isKey ? statement->target->text : "";
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      std::string near = nearest(name, known);
      e.error(isKey ? statement->target->range : statement->range,
              "a chat has first, next, system and thoughts" + (isKey ? ", no '" + name + "'" : std::string()))
          .withHelp(near.empty() ? "" : "did you mean '" + near + "'?");
      continue;
    }
    Value value = e.eval(*statement->value, frame);
    if (value.kind == Value::Kind::String && !texts.try_emplace(name, value.text).second)
      e.error(statement->target->range, "'" + name + "' is set twice in this block");
    else if (value.kind != Value::Kind::String && !value.isError())
      e.error(statement->value->range, "'" + name + "' of a chat is a text; this is " + describe(value));
  }
  if (e.diagnostics().size() != errorsBefore)
    return {};
  for (const char *name : {"first", "next"})
    if (!texts.contains(name)) {
      e.error(section.range, std::string("a chat needs '") + name + "'")
          .withHelp("first = \"<user>{user}<model>\" is what the model reads before its first answer, next = "
                    "\"<end><user>{user}<model>\" what it reads between two");
      return {};
    }
  std::string why;
  auto given = [&](const char *name) { return texts.contains(name) ? &texts[name] : nullptr; };
  if (!ChatTexts::of(texts["first"], texts["next"], given("system"), given("thoughts"), why)) {
    e.error(section.range, why);
    return {};
  }
  mlir::OpBuilder &b = e.builder();
  std::vector<mlir::NamedAttribute> attributes;
  for (const auto &[name, text] : texts)
    attributes.push_back(b.getNamedAttr(name, b.getStringAttr(text)));
  return b.getDictionaryAttr(attributes);
}

} // namespace kiln::language
