#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace sock::cli {

struct FakeRequest {
  std::string method;
  std::string target;
  std::map<std::string, std::string> headers;  ///< names in lower case
  std::string body;
};

struct FakeResponse {
  unsigned status = 200;
  std::string body = "{}";
  std::map<std::string, std::string> headers;
  std::string raw;    ///< when set, sent instead of a response; then the connection is closed
  bool hang = false;  ///< send nothing and wait for the client to go
};

/// A sockd that answers what a test tells it to: HTTP on a Unix socket in a folder of its own, one
/// connection at a time, on its own thread. Destruction closes everything.
class FakeServer {
 public:
  using Handler = std::function<FakeResponse(const FakeRequest&)>;

  /// `read_bodies` false: answers after the header and closes, as for a body that is too large.
  explicit FakeServer(Handler handler, bool read_bodies = true);
  ~FakeServer();
  FakeServer(const FakeServer&) = delete;
  FakeServer& operator=(const FakeServer&) = delete;

  [[nodiscard]] const std::string& socket() const { return socket_; }
  [[nodiscard]] std::vector<FakeRequest> requests() const;
  [[nodiscard]] int connections() const { return connections_; }
  /// Connections that the client closed while an answer was owed.
  [[nodiscard]] int abandoned() const { return abandoned_; }

 private:
  void serve();
  void serve_connection(int fd);

  Handler handler_;
  bool read_bodies_;
  std::filesystem::path folder_;
  std::string socket_;
  int listener_ = -1;
  mutable std::mutex mutex_;
  std::vector<FakeRequest> requests_;
  int open_ = -1;  ///< the connection being served
  bool stopping_ = false;
  std::atomic<int> connections_ = 0;
  std::atomic<int> abandoned_ = 0;
  std::thread thread_;
};

/// A new empty folder, removed with everything in it at the end.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  /// Writes a file below the folder, making folders on the way; returns its path.
  [[nodiscard]] std::string write(const std::string& name, const std::string& text) const;

 private:
  std::filesystem::path path_;
};

}  // namespace sock::cli
