using System.IO.Compression;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Data;

/// <summary>
/// Opens a text file as UTF-8: as it is, or, where it is packed by gzip, in UTF-16 or UTF-32, or holds Python's NaN, as a copy without a
/// name in the temporary folder.
/// </summary>
internal static class JsonText
{
    /// <exception cref="InputException">It is another kind of file, a broken archive, or no text of its encoding.</exception>
    public static SafeFileHandle Open(string path)
    {
        var file = File.OpenHandle(path);
        try
        {
            var beginning = Beginning(file);
            if (beginning is [0x1F, 0x8B, ..])
            {
                file = Copy(path, file, from => new GZipStream(from, CompressionMode.Decompress),
                    "the gzip archive is broken", "pack or download it again");
                beginning = Beginning(file);
            }
            if (WideEncoding(beginning) is { } encoding)
            {
                file = Copy(path, file, from => Encoding.CreateTranscodingStream(from, encoding, new UTF8Encoding(false)),
                    $"is not {encoding.WebName} to its end", "save it as UTF-8");
                beginning = Beginning(file);
            }
            if (FileSignature.Of(beginning) is { } kind) throw new InputException($"{path}: is {kind.Name}, not JSON; {kind.Advice}.");
            return file;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>A copy with null for Python's numbers that are none, the file closed; null where there are none.</summary>
    public static SafeFileHandle? WithoutNaN(string path, SafeFileHandle file)
    {
        var filter = new PythonNumbers();
        var copy = Temporary(path);
        var buffer = new byte[1 << 20];
        for (long from = 0, to = 0; ;)
        {
            var read = RandomAccess.Read(file, buffer, from);
            from += read;
            var mended = filter.Mend(buffer.AsSpan(0, read), isLast: read == 0);
            RandomAccess.Write(copy, mended, to);
            to += mended.Length;
            if (read == 0) break;
        }
        (filter.HasFound ? file : copy).Dispose();
        return filter.HasFound ? copy : null;
    }

    private static byte[] Beginning(SafeFileHandle file)
    {
        var bytes = new byte[FileSignature.BytesNeeded];
        return bytes[..RandomAccess.Read(file, bytes, 0)];
    }

    /// <summary>By a byte-order mark, or by the zeros beside the first character of JSON; null for UTF-8 and other single bytes.</summary>
    private static Encoding? WideEncoding(ReadOnlySpan<byte> start) => start switch
    {
        [0xFF, 0xFE, 0, 0, ..] => new UTF32Encoding(bigEndian: false, byteOrderMark: true, throwOnInvalidCharacters: true),
        [0, 0, 0xFE, 0xFF, ..] => new UTF32Encoding(bigEndian: true, byteOrderMark: true, throwOnInvalidCharacters: true),
        [0xFF, 0xFE, ..] => new UnicodeEncoding(bigEndian: false, byteOrderMark: true, throwOnInvalidBytes: true),
        [0xFE, 0xFF, ..] => new UnicodeEncoding(bigEndian: true, byteOrderMark: true, throwOnInvalidBytes: true),
        [not 0, 0, not 0, 0, ..] => new UnicodeEncoding(bigEndian: false, byteOrderMark: false, throwOnInvalidBytes: true),
        [0, not 0, 0, not 0, ..] => new UnicodeEncoding(bigEndian: true, byteOrderMark: false, throwOnInvalidBytes: true),
        _ => null,
    };

    private static SafeFileHandle Copy(string path, SafeFileHandle file, Func<Stream, Stream> convert, string wrong, string advice)
    {
        SafeFileHandle? copy = null;
        try
        {
            copy = Temporary(path);
            using var from = convert(new FileStream(file, FileAccess.Read));
            var buffer = new byte[1 << 20];
            long done = 0;
            for (var read = from.Read(buffer); read > 0; read = from.Read(buffer))
            {
                RandomAccess.Write(copy, buffer.AsSpan(0, read), done);
                done += read;
            }
            return copy;
        }
        catch (Exception e) when (e is InvalidDataException or DecoderFallbackException or ArgumentException)
        {
            copy?.Dispose();
            throw new InputException($"{path}: {wrong} ({e.Message}); {advice}.");
        }
        catch
        {
            copy?.Dispose();
            throw;
        }
    }

    private static SafeFileHandle Temporary(string path)
    {
        var copy = Path.Combine(Path.GetTempPath(), $"phi3v-text-{Guid.NewGuid():N}");
        try
        {
            var file = File.OpenHandle(copy, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
            File.Delete(copy);
            return file;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputException($"{Path.GetTempPath()}: {path} cannot be unpacked there ({e.Message}); make room, or set TMPDIR.");
        }
    }
}
