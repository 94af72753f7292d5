// What a backend does while the host does not wait: each false with a sentence.
#pragma once

#include "backends/conformance/Session.h"

namespace kiln::conformance {

/// Bytes written, copied and read without a wait between them.
bool copiesThatGoOn(Session &session, std::string &why);
/// Each event is told of once, before it is waited for or after it is over.
bool noticesOfEvents(Session &session, std::string &why);
/// Nothing that was given after a signal happens before it comes.
bool workAfterASignal(Session &session, std::string &why);

} // namespace kiln::conformance
