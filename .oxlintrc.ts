export {config as default} from './infra/ci/lint-rules.ts';
