// Finds a template's turns by what it makes of conversations.
#include "frontend/huggingface/Chat.h"

#include "frontend/huggingface/Settings.h"

#include "frontend/huggingface/Jinja.h"
#include "runtime/support/Error.h"

namespace kiln::huggingface {

namespace {

using Part = TurnText::Part;

/// What is said in turn: the user's texts, and between them the model's; before them, where it is there, the system's.
struct Talk {
  std::optional<std::string> system;
  std::vector<std::string> said;
};

/// Words that no template has.
const std::string systemWord = "Sqzjx0", userWord = "Uqzjx1", answerWord = "Aqzjx2", nextWord = "Uqzjx3";
const std::string dateWord = "Dqzjx4[";

/// Where a date of this format would stand.
std::string datePlace(const std::string &format) { return dateWord + format + jinja::dateEnd; }

/// A text, with the dates that stand in it.
void addText(std::string_view text, std::vector<Part> &parts) {
  std::string_view end = jinja::dateEnd;
  for (size_t at = text.find(dateWord); at != std::string_view::npos; at = text.find(dateWord)) {
    size_t begin = at + dateWord.size(), close = std::min(text.find(end, begin), text.size());
    parts.push_back({Part::Kind::Text, false, std::string(text.substr(0, at))});
    parts.push_back({Part::Kind::Date, false, std::string(text.substr(begin, close - begin))});
    text.remove_prefix(std::min(close + end.size(), text.size()));
  }
  parts.push_back({Part::Kind::Text, false, std::string(text)});
}

class Turns {
public:
  explicit Turns(const ChatTemplate &chat) : text_(chat.text), template_(jinja::Template::parse(chat.text)) {
    for (const auto &[name, token] : chat.tokens)
      variables_.emplace(name, jinja::Value::of(token));
    for (const char *absent : {"tools", "documents"})
      variables_.emplace(absent, jinja::Value());
    variables_.emplace("add_generation_prompt", jinja::Value::of(true));
    variables_.emplace("strftime_now", jinja::Value::of(dateWord));
  }

  /// Throws Error: what is in the way.
  ChatTexts run(std::vector<std::string> &notes) {
    ChatTexts texts = turns(notes);
    try {
      ChatTexts with = texts;
      with.system = settled(system(), &Turns::systemTalk);
      compare(with, true);
      return with;
    } catch (const Error &error) {
      notes.push_back(std::string("the program's chat takes no system text, which the model's template has ") +
                      "otherwise than at the beginning: " + error.what());
      return texts;
    }
  }

private:
  /// The turns, and the thoughts that are forgotten between them.
  ChatTexts turns(std::vector<std::string> &notes) {
    findMarks();
    std::string why; // without thoughts
    auto tried = [&](std::optional<Thoughts> thoughts) -> std::optional<ChatTexts> {
      try {
        thoughts_ = std::move(thoughts);
        ChatTexts texts{settled(first(), &Turns::firstTalk), settled(next(), &Turns::nextTalk), std::nullopt,
                        thoughts_};
        compare(texts, false);
        return texts;
      } catch (const Error &error) {
        why = why.empty() ? error.what() : why;
        return std::nullopt;
      }
    };
    if (std::optional<ChatTexts> texts = tried(std::nullopt))
      return *texts;
    for (const char *spaces : {"", "\n", " \t\n"})
      if (std::optional<ChatTexts> texts = marks_ ? tried(Thoughts{marks_->begin, marks_->end, spaces}) : std::nullopt)
        return *texts;
    if (std::exchange(marks_, std::nullopt))
      if (std::optional<ChatTexts> texts = tried(std::nullopt)) {
        notes.push_back("what the model thinks stays in the conversation, where its template would leave it out in a "
                        "way that is not known");
        return *texts;
      }
    throw Error(why);
  }

  /// Between which marks the template may have thoughts.
  void findMarks() {
    constexpr const char *final = "<|channel|>final<|message|>"; // Harmony's (gpt-oss)
    if (text_.find(final) != std::string::npos) {
      marks_ = Thoughts{"", final, ""};
      return;
    }
    for (auto [begin, end] : {std::pair("<think>", "</think>"),
                              {"[THINK]", "[/THINK]"},
                              {"<seed:think>", "</seed:think>"},
                              {"<thinking>", "</thinking>"}})
      if (text_.find(end) != std::string::npos) {
        marks_ = Thoughts{begin, end, ""};
        return;
      }
  }

  std::string render(const Talk &talk) {
    std::vector<jinja::Value> messages;
    auto add = [&](const char *role, const std::string &content) {
      messages.push_back(
          jinja::Value::mapOf({{"role", jinja::Value::of(std::string(role))}, {"content", jinja::Value::of(content)}}));
    };
    if (talk.system)
      add("system", *talk.system);
    for (size_t i = 0; i < talk.said.size(); ++i)
      add(i % 2 ? "assistant" : "user", talk.said[i]);
    auto variables = variables_;
    variables.insert_or_assign("messages", jinja::Value::listOf(std::move(messages)));
    return template_.render(variables);
  }

  /// Conversations of which a turn's text is the end.
  static Talk firstTalk(const std::string &user, const std::string &) { return {std::nullopt, {user}}; }
  static Talk nextTalk(const std::string &user, const std::string &) {
    return {std::nullopt, {userWord, answerWord, user}};
  }
  static Talk systemTalk(const std::string &user, const std::string &system) { return {system, {user}}; }

  /// A text around words that stand in it once, in this order.
  static TurnText around(const std::string &text, const std::vector<std::pair<std::string, Part::Kind>> &words) {
    std::vector<Part> parts;
    size_t at = 0;
    for (const auto &[word, kind] : words) {
      size_t found = text.find(word, at);
      if (found == std::string::npos || text.find(word, found + 1) != std::string::npos || text.find(word) < at)
        throw Error("a text that is said does not stand in it once, as it is");
      addText(std::string_view(text).substr(at, found - at), parts);
      parts.push_back({kind, false, ""});
      at = found + word.size();
    }
    addText(std::string_view(text).substr(at), parts);
    std::erase_if(parts, [](const Part &part) { return part.kind == Part::Kind::Text && part.text.empty(); });
    return TurnText::of(std::move(parts));
  }

  TurnText first() { return around(render(firstTalk(userWord, "")), {{userWord, Part::Kind::User}}); }
  TurnText system() {
    return around(render(systemTalk(userWord, systemWord)),
                  {{systemWord, Part::Kind::System}, {userWord, Part::Kind::User}});
  }

  /// What stands behind the first answer. White space in front of that is the model's to write.
  TurnText next() {
    std::string begin = render(firstTalk(userWord, "")), text = render(nextTalk(nextWord, ""));
    if (thoughts_)
      begin.resize(thoughts_->lengthBefore(begin));
    if (!text.starts_with(begin))
      throw Error("what stands before an answer is written otherwise once the answer is there (a model that thinks "
                  "first forgets it later, which is known where its template has marks like <think> and </think>)");
    size_t answer = text.find(answerWord, begin.size());
    if (thoughts_ && thoughts_->keepsMark()) {
      before_ = thoughts_->end;
      if (answer != begin.size() + before_.size() || !text.substr(begin.size()).starts_with(before_))
        throw Error("an answer does not stand behind its channel");
      return around(text.substr(answer + answerWord.size()), {{nextWord, Part::Kind::User}});
    }
    if (answer == std::string::npos || text.find_first_not_of(" \n", begin.size()) != answer)
      throw Error("an answer does not stand where the model begins to write it");
    before_ = text.substr(begin.size(), answer - begin.size());
    return around(text.substr(answer + answerWord.size()), {{nextWord, Part::Kind::User}});
  }

  /// Which of the places are trimmed: each is looked at with white space around what is said there.
  TurnText settled(const TurnText &turn, Talk (*talk)(const std::string &, const std::string &)) {
    std::vector<Part> parts = turn.parts();
    for (Part &part : parts) {
      if (part.kind != Part::Kind::User && part.kind != Part::Kind::System)
        continue;
      bool isUser = part.kind == Part::Kind::User;
      std::string user = isUser ? " \n" + nextWord + "\n " : nextWord;
      std::string system = isUser ? systemWord : " \n" + systemWord + "\n ";
      std::string text = render(talk(user, system));
      bool fits = false;
      for (bool trimmed : {false, true}) {
        part.trimmed = trimmed;
        std::vector<TextRange> said;
        fits = text.ends_with(TurnText::of(parts).fill(user, system, said, datePlace));
        if (fits)
          break;
      }
      if (!fits)
        throw Error("white space around a text that is said is changed");
    }
    return TurnText::of(std::move(parts));
  }

  std::string written(const ChatTexts &texts, const Talk &talk) const {
    std::vector<TextRange> said;
    const TurnText &begin = talk.system ? *texts.system : texts.first;
    auto date = [&](const std::string &format) { return dateText(format, now_); };
    std::string text = begin.fill(talk.said[0], talk.system.value_or(""), said, date);
    for (size_t i = 1; i + 1 < talk.said.size(); i += 2) {
      std::string answer = talk.said[i];
      if (texts.thoughts && !texts.thoughts->keepsMark()) {
        text.resize(texts.thoughts->lengthBefore(text));
        answer = texts.thoughts->leftOf(answer);
      }
      text += before_ + answer + texts.next.fill(talk.said[i + 1], "", said, date);
    }
    return text;
  }

  void compare(const ChatTexts &texts, bool withSystem) {
    std::vector<std::vector<std::string>> talks = {
        {"Hello"},
        {"Who are you?", "A model.", "Since when?"},
        {"a {{ b }} {% if %} {# c #} <b>\"q\"'s\\ \n\n\té", "Yes.\n\n- one\n- two {c}\n\n```\nx\n```", "漢字 🙂"},
        {"1", "2", "3", "4", "5", "6", "7"},
        {"\n x", "y", " z\n", "w", "\tv "},
    };
    if (marks_ && !marks_->keepsMark())
      talks.push_back({"Who?", marks_->begin + "\nLet me see.\n" + marks_->end + "\n\nA model.", "Since when?",
                       "Hm.\n" + marks_->end + "\nNow.", "Are you?", marks_->begin + "a" + marks_->end + " \n Yes.",
                       "Bye."});
    for (const std::vector<std::string> &said : talks) {
      now_ += 40 * 86400 + 3671; // each on another day
      variables_.insert_or_assign("strftime_now", jinja::Value::of(static_cast<int64_t>(now_)));
      for (const char *system : {"Be brief.", "You are {role}.\n\n1. Answer \"so\".\n2. <Stop>", " \n Say no.\n"}) {
        Talk talk{std::nullopt, said};
        if (withSystem)
          talk.system = system;
        if (render(talk) != written(texts, talk))
          throw Error("a conversation of " + std::to_string(said.size()) +
                      " texts is written otherwise than turn by turn");
      }
    }
    variables_.insert_or_assign("strftime_now", jinja::Value::of(dateWord));
  }

  const std::string &text_;
  jinja::Template template_;
  std::optional<Thoughts> marks_, thoughts_; ///< that the template may have; that are left out
  std::map<std::string, jinja::Value, std::less<>> variables_;
  std::string before_;              ///< white space that stands before an answer
  std::time_t now_ = 1'700'000'000; ///< of the conversation that is compared
};

/// As Kiln writes a text.
std::string quoted(const std::string &text) {
  std::optional<std::string> result = stringText(text);
  if (!result)
    throw Error("its turns have a control character");
  return *result;
}

} // namespace

std::optional<ChatTexts> turnsOf(const ChatTemplate &chat, std::string &why, std::vector<std::string> &notes) {
  try {
    return Turns(chat).run(notes);
  } catch (const Error &error) {
    why = error.what();
    return std::nullopt;
  }
}

std::string withChat(std::string text, const std::string &model, const ChatTemplate &chat,
                     std::vector<std::string> &notes) {
  std::string head = "\ngenerate " + model + ":\n";
  size_t begin = text.find(head);
  if (chat.text.empty() || begin == std::string::npos)
    return text;
  std::string why;
  std::vector<std::string> own;
  std::optional<ChatTexts> texts = turnsOf(chat, why, own);
  try {
    std::string block;
    if (texts) {
      block = "    chat:\n        first  = " + quoted(texts->first.str()) +
              "\n        next   = " + quoted(texts->next.str()) + "\n";
      if (texts->system)
        block += "        system = " + quoted(texts->system->str()) + "\n";
      if (texts->thoughts)
        block += "        thoughts = " + quoted(texts->thoughts->str()) + "\n";
    }
    size_t end = begin + head.size();
    while (text.compare(end, 4, "    ") == 0)
      end = text.find('\n', end) + 1;
    text.insert(end, block);
  } catch (const Error &error) {
    texts.reset();
    why = error.what();
  }
  if (!texts)
    own = {"the program will not chat: its chat template is not one of turns that follow each other: " + why};
  notes.insert(notes.end(), own.begin(), own.end());
  return text;
}

} // namespace kiln::huggingface
