using System.Net.Http.Headers;
using Phi3VCluster.Client.App;

namespace Phi3VCluster.Client.Hub;

/// <summary>
/// The file that a download grows in, <c>NAME.partial</c> beside its target. Whoever has it open holds its lock, so that two commands
/// do not write into each other; a killed command leaves it for the next one to go on with.
/// </summary>
internal sealed class PartialFile : IDisposable
{
    private const string Suffix = ".partial";
    private const int WouldBlock = 11; // EAGAIN: the lock is another's

    private readonly string _path, _target;
    private readonly FileStream _stream;
    private readonly ContentHash _hash;
    private bool _published;

    private PartialFile(string target, FileStream stream, HubFile file) =>
        (_path, _target, _stream, _hash) = (stream.Name, target, stream, new(file));

    /// <summary>Bytes there are, all of them hashed.</summary>
    public long Length { get; private set; }

    /// <summary>Whether bytes that an earlier command fetched are among them.</summary>
    public bool HasEarlier { get; private set; }

    /// <summary>What the server called the bytes when they began to come; null: not known.</summary>
    public EntityTagHeaderValue? Tag { get; set; }

    public static bool IsLocked(IOException error) => error.HResult == WouldBlock;

    /// <summary>Its length, if there is one; 0 if not.</summary>
    public static long LengthFor(string target) => new FileInfo(target + Suffix) is { Exists: true, Length: var length } ? length : 0;

    /// <summary>Null: another command is at it.</summary>
    /// <exception cref="CommandFailedException">It cannot be written.</exception>
    public static PartialFile? TryOpen(string target, HubFile file)
    {
        var path = target + Suffix;
        FileStream stream;
        try
        {
            if (new FileInfo(path).LinkTarget is not null) throw new CommandFailedException($"{path}: is a link; remove it.");
            stream = new(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, bufferSize: 0);
        }
        catch (IOException error) when (IsLocked(error))
        {
            return null;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw Unwritable(error);
        }
        if (IsStillAt(path, stream)) return new(target, stream, file);
        stream.Dispose();
        return null;
    }

    /// <summary>Hashes what an earlier command left.</summary>
    public async Task ReadAsync(long longest, CancellationToken cancelled)
    {
        if (_stream.Length > longest) _stream.SetLength(0);
        await _hash.AppendAsync(_stream, cancelled);
        Length = _stream.Position;
        HasEarlier = Length > 0;
    }

    public void Append(ReadOnlySpan<byte> bytes)
    {
        try
        {
            _stream.Write(bytes);
        }
        catch (IOException error)
        {
            throw Unwritable(error);
        }
        _hash.Append(bytes);
        Length += bytes.Length;
    }

    public void Restart()
    {
        _stream.SetLength(0);
        _stream.Position = 0;
        _hash.Restart();
        (Length, HasEarlier, Tag) = (0, false, null);
    }

    public string CurrentHash() => _hash.Current();

    /// <summary>Puts it where it belongs, in one move, once the disk has it.</summary>
    public void Publish()
    {
        try
        {
            _stream.Flush(flushToDisk: true);
            File.Move(_path, _target, overwrite: true);
            _published = true;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw Unwritable(error);
        }
    }

    public void Delete() => File.Delete(_path);

    public void Dispose()
    {
        if (!_published && _stream.Length == 0) Delete();
        _hash.Dispose();
        _stream.Dispose(); // and with it the lock
    }

    // Between our opening it and our lock, its last holder may have moved or deleted it: then the lock is that of another file.
    internal static bool IsStillAt(string path, FileStream stream) =>
        Path.GetFileName(new FileInfo($"/proc/self/fd/{stream.SafeFileHandle.DangerousGetHandle()}").LinkTarget) == Path.GetFileName(path);

    private static CommandFailedException Unwritable(Exception error) =>
        new($"{error.Message.TrimEnd('.')}; what has arrived is kept: put that right and run the command again.");
}
