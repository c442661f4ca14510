/** What an exporter is: one way to hand out the disk that was built. */
import type {Artefact, ArtefactName, SysextArtefactName} from '../../../services/common/contracts/image.ts';

export interface ExportRequest {
  /** The raw disk that was built: every format is made from it and compared with it. */
  readonly disk: string;
  /** Existing folder that the files go to. */
  readonly folder: string;
  /** Start of the file names, for instance `hawser-1.0.0`. */
  readonly name: string;
  readonly release: {
    /** semver; names the UKI in the EFI system partition. */
    readonly version: string;
    /** dm-verity root hash of /usr; names the slot. */
    readonly rootHash: string;
  };
  readonly signal?: AbortSignal | undefined;
}

/** A file that was written, read again and found equal to what the raw disk holds. */
export interface ExportedFile extends Artefact {
  readonly name: ArtefactName | SysextArtefactName;
}

export interface Exporter {
  /** As written in the recipe's `export.formats`. */
  readonly format: string;
  readonly summary: string;
  /**
   * Writes the files of this format, which appear only when they have been checked; the same disk gives the
   * same bytes. Throws FormatError (`export-differs`, `disk-full`, ...) and ExecError.
   */
  export(request: ExportRequest): Promise<readonly ExportedFile[]>;
}
