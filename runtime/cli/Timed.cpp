// Which recordings are heard with times, and what else an answer's options ask for.
#include "runtime/cli/Hearing.h"

#include "runtime/support/Error.h"

namespace kiln {

bool isTimed(const Options &options, const DrawSpec &draw, const Pieces &pieces) {
  bool beam = draw.kind == DrawSpec::Kind::Beam, scored = options.has("log-probabilities");
  std::string asked = options.has("timestamps")  ? "--timestamps"
                      : options.has("fallback")  ? "--fallback"
                      : options.has("previous")  ? "--previous"
                      : options.has("no-speech") ? "--no-speech"
                                                 : "";
  if (asked.empty())
    return pieces.count() > 1 && draw.times > 0 && !beam && !scored && draw.stops.empty();
  if (draw.times == 0)
    fail("%s: this program's answers have no times (`times` of its recipe's draw)", asked.c_str());
  if (pieces.isEmpty())
    fail("%s: there is no recording; give one with --input NAME=FILE.wav", asked.c_str());
  if (beam || scored || !draw.stops.empty())
    throw UsageError(asked + " does not go with a search, with texts that end (--stop), or with --log-probabilities");
  return true;
}

Hearing::Hearing(const Options &options, DrawSpec &draw)
    : draw_(draw), kind_(draw.kind), temperature_(draw.temperature), silence_(options.number("no-speech", 1)),
      told_(options.has("timestamps")), fallback_(options.has("fallback")), previous_(options.has("previous")),
      measured_(fallback_ || options.has("no-speech") || (told_ && options.has("json"))) {
  if (!(silence_ >= 0 && silence_ <= 1))
    throw UsageError("--no-speech: a probability from 0 to 1 is expected");
  if (fallback_ && draw.kind != DrawSpec::Kind::Greedy)
    throw UsageError("--fallback begins with the likeliest tokens and goes up to the temperature 1 by itself: leave "
                     "--temperature and the like out");
  if (previous_ && draw.previous == 0)
    fail("--previous: this program's answers have no place for what was said before (`previous` of its recipe's draw)");
}

} // namespace kiln
