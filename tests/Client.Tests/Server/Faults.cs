namespace Phi3VCluster.Client.Tests.Server;

/// <summary>How a request is answered.</summary>
/// <param name="file">Null: it is about the repository.</param>
public delegate Task Fault(Exchange exchange, FakeFile? file, CancellationToken end);

/// <summary>What servers and networks do to downloads.</summary>
public static class Faults
{
    /// <summary>All as it should be: ranges, tags and all.</summary>
    public static Fault None { get; } = (exchange, file, _) =>
    {
        var (from, all) = (exchange.Request.From, file!.Bytes);
        if (exchange.Request.Header("If-Range") is { } tag && tag != Tag(file)) from = 0;
        if (from >= all.Length && from > 0) return exchange.AnswerAsync(416, [], ("Content-Range", $"bytes */{all.Length}"));
        (string, string)[] range = from > 0 ? [("Content-Range", $"bytes {from}-{all.Length - 1}/{all.Length}")] : [];
        return exchange.AnswerAsync(from > 0 ? 206 : 200, all[from..], [("ETag", Tag(file)), .. range]);
    };

    /// <summary>The connection ends after so many bytes of the answer.</summary>
    public static Fault DropAfter(int bytes) => Cut(bytes, (_, _) => Task.CompletedTask);

    /// <summary>Nothing comes any more after so many bytes, but the connection stays.</summary>
    public static Fault SilentAfter(int bytes) => Cut(bytes, (_, end) => Task.Delay(Timeout.Infinite, end));

    public static Fault ResetAtOnce { get; } = (exchange, _, _) =>
    {
        exchange.Reset();
        return Task.CompletedTask;
    };

    public static Fault Status(int status, params (string, string)[] headers) =>
        (exchange, _, _) => exchange.AnswerAsync(status, [], headers);

    /// <summary>All of it, whatever was asked for.</summary>
    public static Fault WithoutRanges { get; } = (exchange, file, _) => exchange.AnswerAsync(200, file!.Bytes);

    /// <summary>The same, cut.</summary>
    public static Fault WithoutRangesDropAfter(int bytes) =>
        (exchange, file, _) => exchange.SendAsync(200, file!.Bytes.Length, [], file.Bytes.AsMemory(0, bytes));

    public static Fault Body(byte[] body) => (exchange, _, _) => exchange.AnswerAsync(200, body);

    /// <summary>Without saying how long it is.</summary>
    public static Fault BodyOfUnknownLength(byte[] body) => (exchange, _, _) => exchange.SendAsync(200, null, [], body);

    public static Fault RangeSaying(string range) =>
        (exchange, file, _) => exchange.AnswerAsync(206, file!.Bytes[exchange.Request.From..], ("Content-Range", range));

    public static string Tag(FakeFile file) => $"\"{file.Hash}\"";

    private static Fault Cut(int bytes, Func<Exchange, CancellationToken, Task> then) => async (exchange, file, end) =>
    {
        var (from, all) = (exchange.Request.From, file!.Bytes);
        (string, string)[] range = from > 0 ? [("Content-Range", $"bytes {from}-{all.Length - 1}/{all.Length}")] : [];
        await exchange.SendAsync(from > 0 ? 206 : 200, all.Length - from, [("ETag", Tag(file)), .. range], all.AsMemory(from, bytes));
        await then(exchange, end);
    };
}
