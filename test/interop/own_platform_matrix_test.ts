import { testMatrix } from "./lab_matrix.ts";
import { ownPlatform } from "./own_platform.ts";

testMatrix("our platform", ownPlatform, "127.0.40.21");
