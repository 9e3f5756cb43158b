#include "common/uuid.h"

#include <set>
#include <string>

#include "gtest/gtest.h"

namespace fila {
namespace {

TEST(Uuid, IsOfVersion7AndNeverTheSame) {
  std::set<std::string> ids;
  for (int i = 0; i < 10'000; ++i) ids.insert(MakeUuid());
  EXPECT_EQ(ids.size(), 10'000U);
  for (const std::string& id : ids) {
    ASSERT_EQ(id.size(), 36U);
    EXPECT_EQ(id[14], '7');
    EXPECT_NE(std::string("89ab").find(id[19]), std::string::npos);
  }
}

TEST(Uuid, BeginsWithTheTime) {
  const std::string first = MakeUuid();
  std::string later = first;
  // The clock moves on within a bounded number of ids.
  for (int i = 0; i < 10'000'000 && later.substr(0, 18) == first.substr(0, 18); ++i) MakeUuid(&later);
  EXPECT_LT(first.substr(0, 18), later.substr(0, 18));
}

}  // namespace
}  // namespace fila
