import { labPlatform } from "./lab_system.ts";
import { testMatrix } from "./lab_matrix.ts";

testMatrix("the lab's platform", labPlatform, "127.0.40.11");
