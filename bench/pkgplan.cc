// quick
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>

#include "base/file.h"
#include "pkgcache/baselines/compare.h"
#include "pkgcache/planner/costs_text.h"
#include "pkgcache/planner/functions_text.h"
#include "pkgcache/planner/popularity.h"
using namespace sock;
using namespace sock::pkgcache;
int main(int, char** argv) {
  auto ft = read_file(AT_FDCWD, argv[1], 64 << 20);
  auto fs = parse_functions(*ft, argv[1]);
  if (!fs) { std::puts(fs.error().describe().c_str()); return 1; }
  auto ct = read_file(AT_FDCWD, argv[2], 64 << 20);
  auto table = parse_costs(*ct, argv[2]);
  if (!table) { std::puts(table.error().describe().c_str()); return 1; }
  CostParameters params;
  params.node_mb = std::atof(argv[3]);
  if (std::atoi(argv[4]) != 0) params.clone = kUnsealedClone;
  const int seeds = std::atoi(argv[5]);
  for (double z : {0.0, 1.1}) for (double budget : {50., 100., 200., 400., 800.}) {
    std::printf("z %.1f budget %4.0f:", z, budget);
    for (auto a : {Algorithm::kNone, Algorithm::kForkLift, Algorithm::kSock, Algorithm::kOurs}) {
      double mean = 0, p99 = 0, mb = 0, ms = 0, nodes = 0;
      for (int seed = 1; seed <= seeds; ++seed) {
        auto halves = split_by_name(*fs, seed);
        make_zipf(halves.planned, halves.judged, z, seed);
        Universe u = universe_of(*fs);
        auto planned = demanded_sets(u, halves.planned), judged = demanded_sets(u, halves.judged);
        CostModel costs(u, *table, params);
        Comparison c;
        c.limits.budget_mb = budget;
        if (getenv("WORK")) c.limits.search_work = std::strtoull(getenv("WORK"), nullptr, 10);
        auto t0 = std::chrono::steady_clock::now();
        auto r = compare(a, u, planned, judged, costs, c);
        ms += std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - t0).count() / seeds;
        mean += r.judgement.mean_ms / seeds; p99 += r.judgement.p99_ms / seeds; mb += r.judgement.mb / seeds; nodes += double(r.judgement.nodes) / seeds;
      }
      std::printf(" | %s %.1f p99 %.0f %.0fMB n%.0f (%.0f ms)", std::string(to_string(a)).c_str(), mean, p99, mb, nodes, ms);
    }
    std::printf("\n");
    std::fflush(stdout);
  }
}
