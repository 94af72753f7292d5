// PROGRAM chat
#include "runtime/cli/Drawn.h"
#include "runtime/cli/Output.h"
#include "runtime/files/File.h"
#include "runtime/generate/Generator.h"
#include "runtime/support/Error.h"
#include "runtime/text/Turns.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <unistd.h>

namespace kiln {

namespace {

constexpr size_t maxTurn = size_t{1} << 20;

/// The first one ends the answer, or the wait for a turn; another one the program.
extern "C" void onChatInterrupt(int signal) {
  if (interrupted) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
  interrupted = true;
}

ChatTexts chatTexts(const Manifest &manifest) {
  const Json &chat = manifest.generate.at("chat");
  std::string why;
  auto given = [&](const char *name) {
    const Json *text = chat.find(name);
    return text ? &text->string() : nullptr;
  };
  std::optional<ChatTexts> texts =
      ChatTexts::of(chat.at("first").string(), chat.at("next").string(), given("system"), given("thoughts"), why);
  if (!texts)
    throw Error(why);
  return std::move(*texts);
}

/// An answer may be as long as the context has room, where the recipe says nothing else and there is a context.
int64_t mostTokens(const Json &recipe) {
  int64_t tokens = DrawSpec::parse(recipe.find("draw")).tokens;
  return tokens > 0 ? tokens : recipe.integerOr("capacity", 0) > 0 ? INT32_MAX : 200;
}

/// Turns between a user and the model, over one session.
class Conversation {
public:
  Conversation(const Options &options, Common &common, Program &program)
      : texts_(chatTexts(program.manifest())), json_(common.json, common.jsonPath),
        draw_(drawSpec(options, program.manifest().generate)),
        words_(options, common, program.manifest(), sourceOf(program.manifest())),
        generator_(program, draw_, common.seed, words_.answer() ? words_.answer()->size() : 0),
        system_(options.text("system")), hasSystem_(options.has("system")),
        limit_(options.integer("tokens", mostTokens(program.manifest().generate), 1, INT32_MAX)) {
    if (!words_.prompt() || words_.prompt() != words_.answer())
      fail("this program has no tokenizer or vocabulary to chat in: build it from a folder with a tokenizer.json, or "
           "with a recipe whose data has words");
    if (draw_.kind == DrawSpec::Kind::Beam)
      throw UsageError("a chat is drawn token by token, not by a search: --greedy or --temperature say how");
    if (hasSystem_ && !texts_.system)
      fail("--system: this model's turns have no place for a system text (`system` of its `chat` block)");
    if (texts_.thoughts && texts_.thoughts->keepsMark())
      mark_ = words_.prompt()->encodeTurn(texts_.thoughts->end, {}, "the chat block");
    addEnd();
  }

  bool ownsStandardOutput() const { return json_.ownsStandardOutput(); }

  /// Reads a turn and writes the answer, as it is drawn.
  void say(const std::string &user) {
    const TurnText &turn = number_ > 0 ? texts_.next : hasSystem_ ? *texts_.system : texts_.first;
    std::vector<TextRange> said;
    std::string text = turn.fill(user, system_, said);
    remember(text, said);
    std::vector<int32_t> read = words_.prompt()->encodeTurn(text, said, "the turn");
    noteUnknown(words_.prompt(), user);
    std::optional<Written> written;
    written.emplace(words_.answer(), draw_.stops, true);
    bool full = false, answers = mark_.empty(); // what stands before the mark is not shown
    std::vector<int32_t> last;
    std::vector<int32_t> drawn = generator_.answer(
        read, limit_, number_++,
        [&](int32_t token, double) {
          bool goesOn = written->add(token);
          last.push_back(token);
          if (answers)
            print(written->take());
          else if (!(answers = endsWith(last, mark_)))
            return !interrupted;
          else
            written.emplace(words_.answer(), draw_.stops, true);
          return goesOn && !interrupted && token != closing_;
        },
        full);
    if (!answers) {
      written.emplace(words_.answer(), draw_.stops, true);
      std::fprintf(stderr, "note: this answer ended before it had begun: %zu tokens of thoughts are not shown\n",
                   drawn.size());
    }
    print(written->take(true) + "\n");
    forget(drawn, *written);
    if (full)
      std::fprintf(stderr, "note: the context is full: the answer ends here, and so does the conversation\n");
    if (json_)
      json_.line(JsonLine()
                     .add("prompt", user)
                     .add("text", written->text())
                     .addRaw("read", listOf(read))
                     .addRaw("tokens", listOf(drawn))
                     .str());
  }

private:
  /// Whether some of what is drawn may be no part of the conversation: thoughts, and what an answer ends before.
  bool forgets() const { return texts_.thoughts || !draw_.stops.empty(); }

  /// Where something is forgotten: `text` becomes what is to be read. That is all of the conversation, if the model
  /// thought before its last answer or was about to, or drew a text that ended it, since what was read cannot be
  /// unread.
  void remember(std::string &text, std::vector<TextRange> &said) {
    if (!forgets())
      return;
    auto behind = static_cast<uint32_t>(past_.size());
    past_ += text;
    for (const TextRange &range : said)
      pastSaid_.push_back({range.begin + behind, range.end + behind});
    if (!again_)
      return;
    text = past_;
    said = pastSaid_;
    generator_.beginAnew();
    again_ = false;
  }

  /// What was drawn becomes the past, without what it ended before.
  void forget(const std::vector<int32_t> &drawn, const Written &written) {
    if (!forgets())
      return;
    again_ = written.ended() || !mark_.empty();
    if (!mark_.empty())
      past_ += texts_.thoughts->end;
    bool leaves = texts_.thoughts && mark_.empty();
    std::string answer = leaves ? withoutThoughts(drawn, written.text()) : written.text();
    auto begin = static_cast<uint32_t>(past_.size());
    past_ += answer;
    pastSaid_.push_back({begin, static_cast<uint32_t>(past_.size())});
  }

  /// The answer without its thoughts, and the past without what opened them; they end with a mark, or with the token
  /// that it is.
  std::string withoutThoughts(const std::vector<int32_t> &drawn, const std::string &text) {
    std::string answer(texts_.thoughts->leftOf(text));
    std::vector<int32_t> mark = words_.prompt()->encodeTurn(texts_.thoughts->end, {}, "the chat block");
    const Tokenizer *tokenizer = words_.prompt()->tokenizer();
    if (tokenizer && mark.size() == 1 && tokenizer->isSpecial(mark[0])) // such have no text
      if (auto last = std::find(drawn.rbegin(), drawn.rend(), mark[0]); last != drawn.rend())
        answer = texts_.thoughts->leftOf(texts_.thoughts->end +
                                         words_.answer()->decode(std::vector<int32_t>(last.base(), drawn.end())));
    size_t before = texts_.thoughts->lengthBefore(past_);
    again_ |= before < past_.size() || answer != text;
    past_.resize(before);
    return answer;
  }

  /// The token that the next turn begins with closes an answer: the model writes it itself.
  void addEnd() {
    std::vector<TextRange> said;
    std::vector<int32_t> next = words_.prompt()->encodeTurn(texts_.next.fill("", "", said), {}, "the turn");
    const Tokenizer *tokenizer = words_.prompt()->tokenizer();
    if (!tokenizer || next.empty() || !tokenizer->isSpecial(next[0]))
      return;
    if (mark_.empty())
      draw_.until.push_back(next[0]);
    else
      closing_ = next[0]; // thoughts end with it, too
  }

  void print(const std::string &text) {
    if (ownsStandardOutput())
      return;
    std::fputs(text.c_str(), stdout);
    std::fflush(stdout);
  }

  ChatTexts texts_;
  JsonOutput json_;
  DrawSpec draw_;
  Words words_;
  Generator generator_;
  std::string system_;
  bool hasSystem_;
  int64_t limit_;
  uint32_t number_ = 0;
  std::vector<int32_t> mark_;       // that an answer has to begin with; empty: it begins at once
  int32_t closing_ = -1;            // what ends an answer that has begun so
  std::string past_;                // where something is forgotten: the conversation without it,
  std::vector<TextRange> pastSaid_; // what in it was said,
  bool again_ = false;              // and whether it is to be read from its beginning
};

/// The next line of standard input, without its end; false where there is none, or an interrupt came.
bool readTurn(std::string &line) {
  line.clear();
  char c;
  while (!interrupted) {
    ssize_t got = ::read(STDIN_FILENO, &c, 1);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      fail("cannot read standard input: %s", describeErrno(errno).c_str());
    if (got == 0)
      return !line.empty();
    if (c == '\n')
      return true;
    if (line.size() == maxTurn)
      fail("a turn is a line of up to 1 MiB; this one is longer");
    line += c;
  }
  return false;
}

} // namespace

/// What `chat` runs in a program whose model has turns: its image asks for it.
extern "C" int kiln_chat_command(const Options &options, Common &common) {
  std::unique_ptr<Program> program = startProgram(options, common);
  Conversation conversation(options, common, *program);
  struct sigaction action = {};
  action.sa_handler = onChatInterrupt; // without SA_RESTART: a wait for a turn ends
  sigaction(SIGINT, &action, nullptr);
  if (options.has("prompt")) {
    conversation.say(options.text("prompt"));
    return interrupted ? 130 : 0;
  }
  bool terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && !conversation.ownsStandardOutput();
  std::string line;
  while (true) {
    if (terminal) {
      std::fputs("> ", stdout);
      std::fflush(stdout);
    }
    if (!readTurn(line))
      break;
    if (line.ends_with('\r'))
      line.pop_back();
    if (trimmed(line).empty())
      continue;
    conversation.say(line);
    if (interrupted && !terminal)
      break;
    interrupted = false;
  }
  if (terminal)
    std::fputs("\n", stdout);
  return interrupted ? 130 : 0;
}

} // namespace kiln
