#include "model/image_json.h"

namespace panal {

PANAL_JSON(, HealthConfig)
PANAL_JSON(, ContainerConfig)
PANAL_JSON(, Mount)
PANAL_JSON(, LogConfig)
PANAL_JSON(, HostConfig)
PANAL_JSON(, Endpoint)
PANAL_JSON(, Container)
PANAL_JSON(, Image)
PANAL_JSON(, IpamPool)
PANAL_JSON(, Network)
PANAL_JSON(, Volume)

}  // namespace panal
