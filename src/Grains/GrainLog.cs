using Microsoft.Extensions.Logging;

namespace Phi3VCluster.Grains;

internal static partial class GrainLog
{
    [LoggerMessage(1101, LogLevel.Information, "Orders of run {Run} did not reach {Node}: {Reason}; they are said again")]
    public static partial void CallFailed(this ILogger log, string run, string node, string reason);

    [LoggerMessage(1102, LogLevel.Information, "The end of run {Run} did not reach the cluster: {Reason}; the cluster asks for it")]
    public static partial void ReleaseFailed(this ILogger log, string run, string reason);

    [LoggerMessage(1103, LogLevel.Warning, "How run {Run} ended could not be written down on {Node}: {Reason}")]
    public static partial void RecordFailed(this ILogger log, string run, string node, string reason);

    [LoggerMessage(1104, LogLevel.Information, "Seats of run {Run} on {Node} refused orders, for they are further on: {Seats}")]
    public static partial void OrdersRefused(this ILogger log, string run, string node, string seats);

    [LoggerMessage(1105, LogLevel.Warning, "The state of run {Run} could not be stored: {Reason}; it is tried again")]
    public static partial void StoreFailed(this ILogger log, string run, string reason);

    [LoggerMessage(1201, LogLevel.Warning, "Run {Run} could not be asked or told: {Reason}; it is tried again")]
    public static partial void RunUnreachable(this ILogger log, string run, string reason);

    [LoggerMessage(2201, LogLevel.Warning, "This node's heartbeat did not reach the cluster: {Reason}; it is tried again")]
    public static partial void HeartbeatFailed(this ILogger log, string reason);

    [LoggerMessage(2202, LogLevel.Warning, "The report of run {Run} did not reach its coordinator: {Reason}; it is tried again")]
    public static partial void ReportFailed(this ILogger log, string run, string reason);
}
