// The kit's child process and the parent that reads its rows.

#include "backends/conformance/Watch.h"

#include "nlohmann/json.hpp"

#include <csignal>
#include <cstring>
#include <poll.h>
#include <set>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace kiln::conformance {

using Json = nlohmann::json;

namespace {

Json asJson(const Row &row) {
  return {row.section, row.name,  row.dtype, row.variant, static_cast<int>(row.outcome),
          row.reason,  row.worst, row.share, row.checks};
}

Row asRow(const Json &json) {
  return {json[0], json[1], json[2], json[3], Outcome(json[4].get<int>()), json[5], json[6], json[7], json[8]};
}

/// A number that JSON cannot hold would come back as null.
Row finite(Row row) {
  for (double *value : {&row.worst, &row.share})
    if (!(*value <= 1e300))
      *value = 1e300;
  return row;
}

void send(int pipe, const Json &message) {
  std::string line = message.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  for (size_t at = 0; at < line.size();) {
    ssize_t count = write(pipe, line.data() + at, line.size() - at);
    if (count <= 0)
      _exit(3); // nobody listens
    at += static_cast<size_t>(count);
  }
}

class Watcher {
public:
  Watcher(const std::function<bool(Report &, std::string &)> &work, int silence, Report &report)
      : work(work), silence(silence), report(report) {}

  /// One process; false when no other is needed.
  bool once(Watched &result, std::string &error) {
    int ends[2];
    if (pipe(ends)) {
      error = std::string("cannot make a pipe: ") + std::strerror(errno);
      result = Watched::Refused;
      return false;
    }
    std::fflush(nullptr);
    pid_t child = fork();
    if (child == 0) {
      close(ends[0]);
      tryAll(ends[1]);
    }
    close(ends[1]);
    if (child < 0) {
      close(ends[0]);
      error = std::string("cannot start a process: ") + std::strerror(errno);
      result = Watched::Refused;
      return false;
    }
    struct sigaction ignore = {}, before;
    ignore.sa_handler = SIG_IGN; // the child is interrupted, and this process tells what there was until then
    sigaction(SIGINT, &ignore, &before);
    bool silent = !listen(ends[0]);
    close(ends[0]);
    if (silent) {
      ++hangs_;
      kill(child, SIGKILL);
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
      ;
    sigaction(SIGINT, &before, nullptr);
    return !over(status, silent, result, error);
  }

  const std::string &lost() const { return lost_; }
  /// Processes that gave no sign of life.
  int hangs() const { return hangs_; }

private:
  const std::function<bool(Report &, std::string &)> &work;
  int silence;
  Report &report;

  std::set<std::string> done, fatal; // rows that are there or ended a process; the latter
  std::set<std::string> alone;       // rows that were compiled together when the process ended
  std::vector<Row> underWay;         // by the last word of the process
  std::string refusal, lost_;
  bool ended = false, refused = false;
  int hangs_ = 0;

  [[noreturn]] void tryAll(int pipe) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(STDERR_FILENO, STDOUT_FILENO); // the table's is the parent's
    for (int number : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGINT, SIGTERM})
      std::signal(number, SIG_DFL); // no stack dump of the compiler's: the report says what crashed
    Report own;
    own.watcher.done = [&](const Row &row) { return done.contains(row.id()); };
    own.watcher.fatal = [&](const Row &row) { return fatal.contains(row.id()); };
    own.watcher.begins = [&](const std::vector<Row> &rows) {
      Json list = Json::array();
      for (const Row &row : rows) {
        if (rows.size() > 1 && alone.contains(row.id()))
          return false;
        list.push_back(asJson(row));
      }
      send(pipe, {{"begin", list}});
      return true;
    };
    own.watcher.added = [&](const Row &row) { send(pipe, {{"row", asJson(finite(row))}}); };
    std::string error;
    send(pipe, work(own, error) ? Json{{"end", true}} : Json{{"refused", error}});
    std::exit(0); // with the plugin's destructors: what they do is tried too
  }

  void take(const Json &message) {
    if (message.contains("begin")) {
      underWay.clear();
      for (const Json &row : message["begin"])
        underWay.push_back(asRow(row));
    }
    if (message.contains("row")) {
      Row row = asRow(message["row"]);
      done.insert(row.id());
      std::erase_if(underWay, [&](const Row &other) { return other.id() == row.id(); });
      report.add(std::move(row));
    }
    if (message.contains("refused")) {
      refused = true;
      refusal = message["refused"];
    }
    if (message.contains("end")) {
      ended = true;
      underWay.clear();
    }
  }

  /// Until the other end closes; false after too long a silence.
  bool listen(int pipe) {
    std::string text;
    char block[65536];
    underWay.clear();
    for (;;) {
      pollfd wait{pipe, POLLIN, 0};
      int ready = poll(&wait, 1, silence * 1000);
      if (ready == 0)
        return false;
      if (ready < 0)
        continue;
      ssize_t count = read(pipe, block, sizeof block);
      if (count <= 0)
        return true;
      text.append(block, static_cast<size_t>(count));
      size_t from = 0;
      for (size_t to; (to = text.find('\n', from)) != std::string::npos; from = to + 1)
        if (Json message = Json::parse(text.begin() + static_cast<int64_t>(from),
                                       text.begin() + static_cast<int64_t>(to), nullptr, false);
            message.is_object())
          take(message);
      text.erase(0, from);
    }
  }

  static std::string endOf(int status) {
    if (WIFSIGNALED(status))
      return std::string("the process crashed: ") + strsignal(WTERMSIG(status));
    return "the process ended itself with exit code " + std::to_string(WEXITSTATUS(status));
  }

  /// Whether that was all; else what was under way failed, or is to be tried one by one.
  bool over(int status, bool silent, Watched &result, std::string &error) {
    bool clean = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (refused && !done.empty()) { // it could before: what was found stands
      report.add({"interface", "the rest", {}, {}, Outcome::Failure, "not tried: " + refusal, 0, 0, 1});
      result = Watched::All;
      return true;
    }
    if (refused) {
      error = refusal;
      result = Watched::Refused;
      return true;
    }
    if (!silent && WIFSIGNALED(status) && (WTERMSIG(status) == SIGINT || WTERMSIG(status) == SIGTERM)) {
      result = Watched::Interrupted;
      return true;
    }
    std::string how = silent ? "nothing came of it for " + std::to_string(silence) + " s" : endOf(status);
    if (ended) {
      if (!clean)
        report.add({"interface", "the process's end", {}, {}, Outcome::Failure, how, 0, 0, 1});
      result = Watched::All;
      return true;
    }
    if (underWay.size() > 1) {
      for (const Row &row : underWay)
        alone.insert(row.id());
      return false;
    }
    Row row =
        underWay.empty() ? Row{"interface", "between two of them", {}, {}, Outcome::Failure, {}, 0, 0, 1} : underWay[0];
    row.outcome = Outcome::Failure;
    row.reason = how;
    row.checks = 1;
    lost_ = row.id();
    done.insert(lost_);
    fatal.insert(lost_);
    report.add(std::move(row));
    return false;
  }
};

} // namespace

Watched watch(const std::function<bool(Report &, std::string &)> &work, int silence, int crashes, Report &report,
              std::string &error) {
  constexpr int mostHangs = 3; // each costs the user the whole of `silence`
  Watched result = Watched::All;
  Watcher watcher(work, silence, report);
  auto stopped = [&](const std::string &why) {
    report.add({"interface",
                "the rest",
                {},
                {},
                Outcome::Failure,
                "not tried: " + why + ", the last in " + watcher.lost(),
                0,
                0,
                1});
    return Watched::All;
  };
  for (int turn = 0; watcher.once(result, error); ++turn) {
    if (watcher.hangs() == mostHangs)
      return stopped(std::to_string(mostHangs) + " processes gave no sign of life");
    if (turn == crashes)
      return stopped(std::to_string(crashes) + " processes ended before");
  }
  return result;
}

} // namespace kiln::conformance
