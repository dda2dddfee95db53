#pragma once

namespace sock::zygote {

/// A zygote's life: gets ready as kStart says, answers Ready, then serves clone requests on
/// kControlFd until sockd closes it. Returns the exit status.
int serve();

}  // namespace sock::zygote
