// The seed's randomness: SplitMix64, forked by purpose so that one more draw in one place does not shift all
// others.
#pragma once
#include <string>

#include "base/time.h"
#include "ports/entropy.h"

namespace panal::sim {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }
  Random fork(uint64_t purpose) { return Random(next() ^ purpose * 0xd6e8feb86659fd93ull); }
  uint64_t below(uint64_t n) { return n == 0 ? 0 : next() % n; }
  int between(int low, int high) {
    return low + static_cast<int>(below(static_cast<uint64_t>(high - low + 1)));
  }
  Duration between(Duration low, Duration high) {
    return low + Duration(static_cast<int64_t>(below(static_cast<uint64_t>((high - low).count()) + 1)));
  }
  bool chance(double p) { return static_cast<double>(next() >> 11) * 0x1.0p-53 < p; }
  template <class C>
  auto& pick(C& from) {
    return from[below(from.size())];
  }

 private:
  uint64_t state_;
};

class SimEntropy final : public Entropy {
 public:
  explicit SimEntropy(Random random) : random_(random) {}
  std::string bytes(size_t count) override {
    std::string out;
    while (out.size() < count) {
      const uint64_t n = random_.next();
      for (int i = 0; i < 8 && out.size() < count; ++i) out += static_cast<char>(n >> (8 * i));
    }
    return out;
  }

 private:
  Random random_;
};

}  // namespace panal::sim
