// A function's credentials: AWS puts them into its environment. In a bundle this stands in for the SDK's chain of all the
// places where a person may have some (lib/bundle.ts), which is a tenth of the transform's code and never used there.
import { fromEnv } from '@aws-sdk/credential-provider-env';

export const defaultProvider = () => fromEnv();
