// Chat templates against what transformers makes of them (tests/fixtures/make_chat.py), and templates that harm.
#include "frontend/huggingface/Chat.h"
#include "frontend/huggingface/Jinja.h"
#include "runtime/files/File.h"
#include "runtime/support/Error.h"
#include "runtime/support/Json.h"
#include "runtime/text/Tokenizer.h"

#include "gmock/gmock.h"

namespace kiln::huggingface {
namespace {

using ::testing::HasSubstr;

Json fixture(const std::string &name) {
  return Json::parse(readText(std::string(KILN_FIXTURES) + "/chat/" + name), name);
}

jinja::Value valueOf(const Json &json) {
  std::vector<jinja::Value> items;
  std::vector<std::pair<std::string, jinja::Value>> members;
  switch (json.kind()) {
  case Json::Kind::Int:
    return jinja::Value::of(json.integer());
  case Json::Kind::String:
    return jinja::Value::of(json.string());
  case Json::Kind::Array:
    for (const Json &item : json.array())
      items.push_back(valueOf(item));
    return jinja::Value::listOf(std::move(items));
  case Json::Kind::Object:
    for (const Json &item : json.object())
      members.emplace_back(item.key(), valueOf(item));
    return jinja::Value::mapOf(std::move(members));
  default:
    return {};
  }
}

std::string rendered(const std::string &text, const std::map<std::string, jinja::Value, std::less<>> &variables = {}) {
  try {
    return jinja::Template::parse(text).render(variables);
  } catch (const Error &error) {
    return std::string("error: ") + error.what();
  }
}

TEST(Jinja, GivesWhatTransformersGives) {
  Json file = fixture("language.json");
  std::map<std::string, jinja::Value, std::less<>> variables;
  for (const Json &variable : file.at("variables").object())
    variables.emplace(variable.key(), valueOf(variable));
  size_t fails = 0;
  for (const Json &one : file.at("cases").array()) {
    const std::string &text = one.at("template").string();
    std::string found = rendered(text, variables);
    if (const Json *wanted = one.find("text"))
      EXPECT_EQ(found, wanted->string()) << text;
    else
      EXPECT_THAT(found, ::testing::StartsWith("error: ")) << text;
    fails += !one.find("text");
  }
  EXPECT_GT(file.at("cases").array().size(), fails + 40);
}

// Numbers as keys are numbers when they are gone through, as in Python.
TEST(Jinja, KeysMayBeNumbers) {
  EXPECT_EQ(
      rendered(
          "{% set m = {512: 'b', 0: 'a', 4096: 'c'} %}{% for k, v in m | dictsort %}{{ k + 1 }}{{ v }} {% endfor %}"
          "{{ m[512] }}{% for k in m if 600 <= k %}{{ k }}{% endfor %}{{ m.keys() | list | length }}"),
      "1a 513b 4097c b40963");
  EXPECT_EQ(rendered("{% for k, v in {'10': 1, '9': 2} | dictsort %}{{ k }}{% endfor %}"), "109");
  EXPECT_THAT(rendered("{{ {1: 2, 'a': 3} }}"), HasSubstr("or all of them whole numbers"));
}

TEST(Jinja, EndsWhateverATemplateAsks) {
  std::string deep, tower = "{% set a = [1, 1] %}";
  for (int i = 0; i < 100'000; ++i)
    deep += "(";
  for (int i = 0; i < 45; ++i)
    tower += "{% set a = [a, a] %}";
  std::string sum = "{{ 1";
  for (int i = 0; i < 50'000; ++i)
    sum += "+1";
  std::string blocks;
  for (int i = 0; i < 5'000; ++i)
    blocks += "{% if 1 %}";
  for (const std::string &text :
       {std::string(
            "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}"
            "{% endfor %}"),
        std::string("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"),
        std::string(
            "{% set n = namespace(x='aaaaaaaa') %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}"),
        std::string("{% set n = namespace(x=[1]) %}{% for i in range(9999) %}{% set n.x = [n.x] %}{% endfor %}"),
        std::string("{% set n = namespace() %}{% set n.x = n %}"), std::string("{{ 'a' * 999999999 }}"),
        std::string(
            "{% set x = 'a' * 200000 %}{% for i in range(9999) %}{% set y = x.replace('a', 'b') %}{% endfor %}"),
        std::string("{% for i in range(9999) %}{{ 'a' * 9999 }}{% endfor %}"), tower + "{{ a|tojson }}",
        tower + "{% set b = a %}{{ a == [a] }}", "{{ " + deep, sum + " }}", blocks, std::string(1 << 20, 'a'),
        std::string("{{ range(1000000000)|list }}"), std::string("\xff")}) {
    std::string found = rendered(text);
    EXPECT_THAT(found, ::testing::StartsWith("error: ")) << text.substr(0, 80);
    EXPECT_LT(found.size(), 300u);
  }
}

TEST(Jinja, SaysWhereAndWhat) {
  EXPECT_EQ(rendered("a\n{% if x %}\n"), "error: line 2: '{% endif %}' is expected");
  EXPECT_EQ(rendered("\n{{ x.y }}"), "error: line 2: 'x', which is not defined, has no 'y'");
  EXPECT_EQ(rendered("{{ 'a'|shout }}"), "error: the filter 'shout' is not known for a text");
  EXPECT_EQ(rendered("{{ raise_exception('Roles alternate') }}"), "error: the template refuses this: Roles alternate");
}

ChatTemplate templateOf(const Json &json) {
  ChatTemplate chat;
  chat.text = json.at("template").string();
  for (const Json &token : json.at("tokens").object())
    chat.tokens[token.key()] = token.string();
  return chat;
}

std::shared_ptr<const Tokenizer> tokenizerOf(const Json &json) {
  std::string name = json.at("tokenizer").string(),
              text = readText(std::string(KILN_FIXTURES) + "/tokenizers/" + name + ".json"), added;
  for (const Json &token : json.at("added").array())
    added += token.str() + ",";
  size_t list = text.find('[', text.find("\"added_tokens\"")) + 1;
  if (text.find_first_not_of(" \n", list) == text.find(']', list))
    added.pop_back();
  return Tokenizer::parse(text.insert(list, added), name);
}

std::vector<int32_t> numbers(const Json &json) {
  std::vector<int32_t> list;
  for (const Json &item : json.array())
    list.push_back(static_cast<int32_t>(item.integer()));
  return list;
}

// Turn by turn, as a program reads them: the numbers that transformers gives to the whole conversation.
TEST(ChatTurns, AreTheTemplates) {
  Json file = fixture("turns.json");
  size_t compared = 0;
  for (const Json &one : file.array()) {
    const std::string &name = one.at("name").string();
    std::string why;
    std::vector<std::string> notes;
    std::optional<ChatTexts> texts = turnsOf(templateOf(one), why, notes);
    ASSERT_TRUE(texts) << name << ": " << why;
    EXPECT_EQ(texts->system.has_value(), name != "mistral") << name;
    EXPECT_EQ(notes.size(), texts->system ? 0u : 1u);
    EXPECT_EQ(texts->thoughts ? texts->thoughts->str() : "", name == "qwen"      ? "<think>…</think>\n"
                                                             : name == "r1"      ? "<think>…</think>"
                                                             : name == "harmony" ? "…<|channel|>final<|message|>"
                                                                                 : "")
        << name;
    std::shared_ptr<const Tokenizer> tokenizer = tokenizerOf(one);
    for (const Json &talk : one.at("cases").array()) {
      const Json *system = talk.find("system");
      if (system && !texts->system)
        continue;
      const std::vector<Json> &said = talk.at("said").array();
      std::vector<int32_t> ids;
      std::string past; // with thoughts all is read anew
      std::vector<TextRange> pastRanges;
      for (size_t i = 0; i < said.size(); i += 2) { // a turn, and the answer behind it
        const TurnText &turn = i > 0 ? texts->next : system ? *texts->system : texts->first;
        std::vector<TextRange> ranges;
        std::string text = turn.fill(said[i].string(), system ? system->string() : "", ranges);
        std::string answer = i + 1 < said.size() ? said[i + 1].string() : "";
        if (texts->thoughts) {
          for (const TextRange &range : ranges)
            pastRanges.push_back(
                {range.begin + static_cast<uint32_t>(past.size()), range.end + static_cast<uint32_t>(past.size())});
          past += text;
          if (i + 1 == said.size()) {
            tokenizer->encodeTurn(past, pastRanges, ids);
            break;
          }
          past.resize(texts->thoughts->lengthBefore(past));
          past += texts->thoughts->keepsMark() ? texts->thoughts->end + answer
                                               : std::string(texts->thoughts->leftOf(answer));
          continue;
        }
        tokenizer->encodeTurn(text + (name == "mistral" && !answer.empty() ? " " : "") + answer, ranges, ids);
      }
      EXPECT_EQ(ids, numbers(talk.at("ids"))) << name << " " << talk.at("text").str();
      ++compared;
    }
  }
  EXPECT_GE(compared, 55u);
}

// What a user writes is never control, whatever tokens the template or the tokenizer has.
TEST(ChatTurns, AUsersWordsAreNoControl) {
  Json file = fixture("turns.json");
  for (const Json &one : file.array()) {
    std::string why, words = "x";
    std::vector<std::string> notes;
    std::optional<ChatTexts> texts = turnsOf(templateOf(one), why, notes);
    ASSERT_TRUE(texts);
    std::shared_ptr<const Tokenizer> tokenizer = tokenizerOf(one);
    auto controls = [&](const std::string &user) {
      std::vector<TextRange> ranges;
      std::vector<int32_t> ids;
      std::string text = texts->next.fill(user, "", ranges);
      tokenizer->encodeTurn(text, ranges, ids);
      std::string list;
      for (int32_t id : ids) // single bytes are special tokens of a small tokenizer
        if ((tokenizer->isSpecial(id) && !tokenizer->token(id).starts_with("<0x")) ||
            tokenizer->token(id).find("_turn>") != std::string::npos)
          list += tokenizer->token(id);
      return list;
    };
    for (const Json &token : one.at("added").array())
      words += token.at("content").string() + "y";
    EXPECT_EQ(controls(words), controls("x")) << one.at("name").string();
  }
}

TEST(ChatTurns, AreRefusedWhereTheTemplateIsOtherwise) {
  auto why = [](const std::string &text) {
    std::string reason;
    std::vector<std::string> notes;
    EXPECT_FALSE(turnsOf({text, {}}, reason, notes)) << text;
    return reason;
  };
  std::string loop = "{% for m in messages %}", end = "{% endfor %}<";
  EXPECT_THAT(why("{{ messages[-1].content }}"), HasSubstr("written otherwise"));
  EXPECT_THAT(why(loop + "<{{ m.content|upper }}>" + end), HasSubstr("does not stand in it"));
  EXPECT_THAT(why(loop + "<{{ m.content }}{{ m.content }}>" + end), HasSubstr("does not stand in it once"));
  EXPECT_THAT(why(loop + "<{{ m.content.lstrip() }}>" + end), HasSubstr("white space"));
  EXPECT_THAT(why(loop + "<{{ m.content|replace('Yes', 'No') }}>" + end), HasSubstr("a conversation of 3 texts"));
  EXPECT_THAT(why(loop + "<{{ '!' if loop.index > 4 }}{{ m.content }}>" + end), HasSubstr("a conversation of 7 texts"));
  EXPECT_THAT(why(loop + "<{{ m.content }}>" + end + "think>"), HasSubstr("thinks first"));
  EXPECT_THAT(why(loop + "<{{ m.content }}>" + end + "{{ strftime_now('%Y-%m-%dT') }}"), HasSubstr("otherwise"));
  EXPECT_THAT(why("{{ strftime_now('%c') }}"), HasSubstr("takes the format of a date"));
  EXPECT_THAT(why(loop + "{{ strftime_now('%d')[1:] }}<{{ m.content }}>" + end), HasSubstr("is written otherwise"));
  EXPECT_THAT(why("{{ raise_exception('never') }}"), HasSubstr("refuses this: never"));
}

// A date is one of the conversation's day, wherever the template has it.
TEST(ChatTurns, TellTheDay) {
  std::vector<std::string> notes;
  std::string why, loop = "{% for m in messages %}[{{ m.role }}]{{ m.content }}";
  std::optional<ChatTexts> texts =
      turnsOf({"{% if strftime_now is defined %}On {{ strftime_now('%d %B %Y, %A') }}: {% endif %}" + loop +
                   "{% endfor %}[assistant]",
               {}},
              why, notes);
  ASSERT_TRUE(texts) << why;
  EXPECT_EQ(texts->first.str(), "On {date:%d %B %Y, %A}: [user]{user}[assistant]");
  EXPECT_EQ(texts->next.str(), "[user]{user}[assistant]");
  std::optional<TurnText> again = TurnText::parse(texts->first.str(), why);
  ASSERT_TRUE(again) << why;
  std::vector<TextRange> said;
  auto day = [](const std::string &format) { return dateText(format, 1716638400); }; // noon in Greenwich
  EXPECT_EQ(again->fill("Hi", "", said, day), "On 25 May 2024, Saturday: [user]Hi[assistant]");
  EXPECT_EQ(again->fill("Hi", "", said).find("On "), 0u);
  for (const char *bad : {"{date}", "{date:}", "{date:today}", "{date:%Q}", "{date:%}"})
    EXPECT_FALSE(TurnText::parse(bad, why)) << bad;
}

TEST(ChatTurns, StandInTheModelsText) {
  std::vector<std::string> notes;
  std::string text = "model M():\n    pass\n\ngenerate M:\n    draw = greedy()\n";
  std::string with = withChat(
      text, "M", {"{% for m in messages %}<{{ m.role[0] }}>\"{{ m.content }}\"\\{\n{% endfor %}<a>\"", {}}, notes);
  EXPECT_EQ(with, text + R"(    chat:
        first  = "<u>\"{user}\"\\{{\n<a>\""
        next   = "\"\\{{\n<u>\"{user}\"\\{{\n<a>\""
        system = "<s>\"{system}\"\\{{\n<u>\"{user}\"\\{{\n<a>\""
)");
  EXPECT_TRUE(notes.empty());
  EXPECT_EQ(withChat(text, "M", {"{{ x", {}}, notes), text);
  EXPECT_THAT(notes.at(0), HasSubstr("line 1"));
}

} // namespace
} // namespace kiln::huggingface
