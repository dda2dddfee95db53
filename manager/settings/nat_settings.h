#pragma once

#include "manager/settings/config.h"
#include "manager/settings/option_reader.h"

namespace sock::manager {

/// Takes the keys of [nat], text by text and as a whole: what can be used is what AddressPlan
/// takes, and nothing may be allowed or asked for names that no sandbox could reach.
void read_nat(OptionReader& in, Config::Nat& nat);

}  // namespace sock::manager
