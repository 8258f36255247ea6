// A large record's copies, moves and destructor, compiled once and not in every file that uses it:
// PANAL_RECORD(T) stands in the struct, PANAL_RECORD_MEMBERS(T) in one .cc file. The price: T is no
// aggregate, T{.a = 1} does not compile.
#pragma once

#define PANAL_RECORD(T)       \
  T() = default;              \
  T(const T&);                \
  T(T&&) noexcept;            \
  T& operator=(const T&);     \
  T& operator=(T&&) noexcept; \
  ~T()

#define PANAL_RECORD_MEMBERS(T)            \
  T::T(const T&) = default;                \
  T::T(T&&) noexcept = default;            \
  T& T::operator=(const T&) = default;     \
  T& T::operator=(T&&) noexcept = default; \
  T::~T() = default
