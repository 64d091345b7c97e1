import { PreforkError, type PreforkErrorCode, type SystemError } from 'prefork';
import { equal } from './assert';

export function codes(error: unknown): void {
  if (!(error instanceof PreforkError)) return;
  equal<typeof error.code, PreforkErrorCode>(true);
  equal<typeof error.name, 'PreforkError'>(true);
  if (error.code === 'ERR_UNSAFE_FORK') return;
  // @ts-expect-error there is no such code
  if (error.code === 'ERR_NO_SUCH_CODE') return;
}

export function systemErrors(error: SystemError): void {
  equal<typeof error.errno, number>(true);
  equal<typeof error.code, string>(true);
}
